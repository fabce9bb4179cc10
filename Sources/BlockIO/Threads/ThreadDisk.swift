// The engine for machines that forbid io_uring: positional calls on a handful of threads. One
// request is one thread's work from beginning to end; the kernel splits a large one itself.

import CSystemCalls
import Glibc
import Synchronization

final class ThreadDisk: PosixDisk {
    let files: PosixFiles
    let threads: WorkThreads

    /// Linux moves at most 2,147,479,552 bytes in one call; a round number below.
    private static let callBytes = 1 << 30

    private let pool: BufferPool

    init(_ files: PosixFiles) {
        self.files = files
        pool = BufferPool(byteCount: files.options.poolByteCount, unit: files.alignment)
        threads = WorkThreads(name: "chunkdb-disk", count: max(1, files.options.threadCount)) {
            [files] in files.pinThread()
        }
    }

    deinit { threads.finish() }

    var traits: DiskTraits { files.traits(engine: "threads", hasRegisteredBuffers: false) }

    func submit(_ request: IORequest) {
        let file = files.begin(request)
        threads.run(lane: request.lane) { [files] in
            let result = Self.perform(request, file, files)
            files.end(request, file, result)
        }
    }

    func makeBuffer(byteCount: Int) -> AlignedBuffer {
        allocate(byteCount, isZeroed: true)
    }

    func makeReadBuffer(byteCount: Int) -> AlignedBuffer {
        allocate(byteCount, isZeroed: false)
    }

    private func allocate(_ byteCount: Int, isZeroed: Bool) -> AlignedBuffer {
        pool.allocate(byteCount, isZeroed: isZeroed, registration: nil)
            ?? AlignedBuffer(
                byteCount: byteCount, alignment: files.alignment, isZeroed: isZeroed)
    }

    func take(_ file: OpenFile) async {}
    func forget(_ file: OpenFile) async {}
    func stop() async {}

    private static func perform(
        _ request: IORequest, _ file: OpenFile, _ files: PosixFiles
    ) -> Result<Int, DiskError> {
        guard request.operation != .flush else { return flush(file) }
        let isRead = request.operation == .read
        var progress = TransferProgress(
            isRead: isRead, byteCount: request.byteCount, alignment: files.alignment)
        if request.byteCount == 0 { return .success(0) }
        while true {
            let step = progress.advance(by: call(request, file, from: progress.done)) {
                (try? SystemCalls.facts(file.descriptor)).map {
                    Int(clamping: Int64($0.byte_count) - Int64(request.offset))
                }
            }
            switch step {
            case .complete, .endOfFile: return .success(progress.done)
            case .resume: files.counters.withLock { $0.continuedCount += 1 }
            case .failed(let number):
                let offset = request.offset + UInt64(progress.done)
                let operation = isRead ? "read" : "write"
                return .failure(file.failure(operation, number, offset: offset))
            }
        }
    }

    /// One call for the bytes from `done` on. *Returns:* a count, or a negated error number.
    private static func call(_ request: IORequest, _ file: OpenFile, from done: Int) -> Int {
        let byteCount = min(request.byteCount - done, callBytes)
        let slices = request.slices(from: done, byteCount: byteCount)
        let address = slices[0].address
        let offset = request.offset + UInt64(done)
        do throws(SystemError) {
            if slices.count > 1 {
                return try SystemCalls.read(file.descriptor, slices, offset)
            }
            return request.operation == .read
                ? try SystemCalls.read(file.descriptor, address, byteCount, offset)
                : try SystemCalls.write(file.descriptor, address, byteCount, offset)
        } catch {
            return -Int(error.number)
        }
    }

    private static func flush(_ file: OpenFile) -> Result<Int, DiskError> {
        do throws(SystemError) {
            _ = try SystemCalls.check { fdatasync(file.descriptor) }
            return .success(0)
        } catch {
            return .failure(file.failure("flush", error.number))
        }
    }
}
