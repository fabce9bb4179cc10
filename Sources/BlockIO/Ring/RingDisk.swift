// The engine of choice: io_uring on one issuing thread. Other threads hand it requests; they make
// no system call unless the ring's thread sleeps.
//
// Every open file is in the ring's table, the one with the lock among them. The lock belongs to
// the open file, so it falls only when the ring has let go, after the last request of a killed
// process: nobody can take a store into which ghosts still write.

import Dispatch
import Foundation
import Glibc
import Primitives
import Synchronization

final class RingDisk: PosixDisk {
    let files: PosixFiles
    /// For the calls that block: openings, allocations, names.
    let threads: WorkThreads
    private let queue: RingQueue
    private let pool: BufferPool
    private let isPoolRegistered: Bool

    init(_ files: PosixFiles, helping core: CoreThread?) throws(SystemError) {
        self.files = files
        queue = try RingQueue()
        (pool, isPoolRegistered) = try Self.start(files, queue, core)
        threads = WorkThreads(name: "chunkdb-files", count: 1)
    }

    deinit {
        queue.append([.finish {}], isLast: true)
        threads.finish()
    }

    var traits: DiskTraits {
        files.traits(engine: "io_uring", hasRegisteredBuffers: isPoolRegistered)
    }

    func submit(_ request: IORequest) {
        submit([request])
    }

    func submit(_ requests: [IORequest]) {
        let items = requests.map { RingQueue.Item.request($0, files.begin($0)) }
        let isTaken = queue.append(items)
        precondition(isTaken, "the disk has been shut down")
    }

    func makeBuffer(byteCount: Int) -> AlignedBuffer {
        allocate(byteCount, isZeroed: true)
    }

    func makeReadBuffer(byteCount: Int) -> AlignedBuffer {
        allocate(byteCount, isZeroed: false)
    }

    private func allocate(_ byteCount: Int, isZeroed: Bool) -> AlignedBuffer {
        pool.allocate(byteCount, isZeroed: isZeroed, registration: isPoolRegistered ? 0 : nil)
            ?? AlignedBuffer(
                byteCount: byteCount, alignment: files.alignment, isZeroed: isZeroed)
    }

    func take(_ file: OpenFile) async {
        await withCheckedContinuation { continuation in
            let isTaken = queue.append([.register(file) { continuation.resume() }])
            if !isTaken { continuation.resume() }
        }
    }

    func forget(_ file: OpenFile) async {
        await withCheckedContinuation { continuation in
            let isTaken = queue.append([.unregister(file) { continuation.resume() }])
            if !isTaken { continuation.resume() }
        }
    }

    func stop() async {
        await withCheckedContinuation { continuation in
            let isTaken = queue.append([.finish { continuation.resume() }], isLast: true)
            if !isTaken { continuation.resume() }
        }
    }

    // MARK: The thread

    private typealias Memory = (pool: BufferPool, isRegistered: Bool)

    private final class Started: Sendable {
        let outcome = Mutex<Result<Memory, SystemError>?>(nil)
        let signal = DispatchSemaphore(value: 0)
    }

    /// Starts the ring's thread, which makes the ring. *Returns:* what it could register.
    private static func start(
        _ files: PosixFiles, _ queue: RingQueue, _ core: CoreThread?
    ) throws(SystemError) -> Memory {
        let started = Started()
        let thread = Thread { run(files, queue, core, started) }
        thread.name = "chunkdb-ring"
        thread.start()
        started.signal.wait()
        return try started.outcome.withLock { $0! }.get()
    }

    private static func run(
        _ files: PosixFiles, _ queue: RingQueue, _ core: CoreThread?, _ started: Started
    ) {
        files.pinThread()
        var whenFinished: (@Sendable () -> Void)?
        do throws(SystemError) {
            // One entry more than requests, for the bell.
            let ring = try Ring(
                entryCount: UInt32(files.options.boundedDepth + 1),
                trouble: files.options.simulated)
            if !ring.defersTasks {
                files.note("io_uring without deferred task work, as on kernels before 6.1")
            }
            let memory = makePool(ring, files)
            let registered = memory.isRegistered ? memory.pool : nil
            let loop = RingLoop(ring, files, queue, registered, helping: core)
            started.outcome.withLock { $0 = .success(memory) }
            started.signal.signal()
            loop.run()
            whenFinished = loop.takeFinish()
        } catch {
            started.outcome.withLock { $0 = .failure(error) }
            started.signal.signal()
        }
        whenFinished?()
    }

    /// Registers as large a pool as was asked for and the limits allow.
    private static func makePool(_ ring: borrowing Ring, _ files: PosixFiles) -> Memory {
        let wanted = files.options.poolByteCount
        let smallest = min(wanted, 1 << 20)
        var byteCount = wanted
        var trouble: Int32 = 0
        while byteCount >= smallest {
            let pool = BufferPool(byteCount: byteCount, unit: files.alignment)
            trouble = files.options.simulated.bufferRegistration
            if trouble == 0 {
                trouble = unsafe ring.registerBuffer(pool.base, byteCount: byteCount)
            }
            if trouble == 0 {
                if byteCount < wanted {
                    files.note(
                        "registered buffers: \(byteCount) bytes only; RLIMIT_MEMLOCK is small")
                }
                return (pool, true)
            }
            byteCount /= 2
        }
        files.note(
            "buffers are not registered: error \(trouble)"
                + (trouble == ENOMEM ? ", RLIMIT_MEMLOCK is too small" : ""))
        return (BufferPool(byteCount: wanted, unit: files.alignment), false)
    }
}
