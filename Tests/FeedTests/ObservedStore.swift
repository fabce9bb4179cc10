// A store on a simulated disk that remembers what it was asked for.

import BlockIO
import ChunkDB
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Synchronization

struct ObservedStore: Sendable {
    let machine: SimulatedMachine
    let disk: ObservedDisk

    init(seed: UInt64) {
        machine = SimulatedMachine(seed: seed, segmentSize: .mebibytes(1))
        disk = ObservedDisk(machine.disk)
    }

    /// Opens a store on the disk, runs `body`, closes it.
    func session(
        _ body: @escaping @Sendable (ChunkDB, ObservedDisk) async throws -> Void
    ) throws {
        try machine.scheduler.wait { () async -> Result<Void, any Error> in
            do {
                let db = try await ChunkDB.open(
                    on: disk, options: machine.options,
                    environment: LogEnvironment(
                        executor: machine.scheduler, clock: machine.scheduler.clock,
                        entropy: machine.entropy))
                do {
                    try await body(db, disk)
                } catch {
                    await db.close()
                    throw error
                }
                await db.close()
                return .success(())
            } catch {
                return .failure(error)
            }
        }.get()
    }
}

/// A read as the disk was asked for it.
struct ObservedRead: Hashable {
    let offset: UInt64
    let byteCount: Int
    let lane: IOLane
}

/// Counts memory and remembers reads.
final class ObservedDisk: Disk {
    private struct State {
        var bufferCount = 0
        var reads: [ObservedRead] = []
        var inFlightBytes = 0
        var mostInFlightBytes = 0
    }
    private let state = Mutex(State())
    let inner: SimulatedDisk
    init(_ inner: SimulatedDisk) { self.inner = inner }

    var bufferCount: Int { state.withLock { $0.bufferCount } }
    var mostInFlightBytes: Int { state.withLock { $0.mostInFlightBytes } }
    /// Those since the last time.
    func takeReads() -> [ObservedRead] {
        state.withLock { state in
            defer { (state.reads, state.mostInFlightBytes) = ([], 0) }
            return state.reads
        }
    }

    var traits: DiskTraits { inner.traits }
    var counters: DiskCounters { inner.counters }
    func submit(_ request: IORequest) {
        guard request.operation == .read else { return inner.submit(request) }
        let byteCount = request.byteCount
        state.withLock { state in
            state.reads.append(
                ObservedRead(offset: request.offset, byteCount: byteCount, lane: request.lane))
            state.inFlightBytes += byteCount
            state.mostInFlightBytes = max(state.mostInFlightBytes, state.inFlightBytes)
        }
        inner.submit(
            IORequest(
                .read, file: request.file, offset: request.offset, slice: request.slice,
                furtherSlices: request.furtherSlices, lane: request.lane
            ) { [self] in
                state.withLock { $0.inFlightBytes -= byteCount }
                request.completion($0)
            })
    }
    func makeBuffer(byteCount: Int) -> AlignedBuffer {
        state.withLock { $0.bufferCount += 1 }
        return inner.makeBuffer(byteCount: byteCount)
    }
    func open(_ name: String, _ mode: OpenMode) async throws(DiskError) -> FileID {
        try await inner.open(name, mode)
    }
    func close(_ file: FileID) async { await inner.close(file) }
    func byteCount(of file: FileID) async throws(DiskError) -> UInt64 {
        try await inner.byteCount(of: file)
    }
    func allocatedByteCount(of file: FileID) async throws(DiskError) -> UInt64 {
        try await inner.allocatedByteCount(of: file)
    }
    func allocate(_ file: FileID, byteCount: UInt64) async throws(DiskError) {
        try await inner.allocate(file, byteCount: byteCount)
    }
    func truncate(_ file: FileID, byteCount: UInt64) async throws(DiskError) {
        try await inner.truncate(file, byteCount: byteCount)
    }
    func setLifetime(_ file: FileID, _ lifetime: WriteLifetime) async -> Bool {
        await inner.setLifetime(file, lifetime)
    }
    func lock(_ file: FileID) async throws(DiskError) { try await inner.lock(file) }
    func makeDirectory(_ name: String) async throws(DiskError) {
        try await inner.makeDirectory(name)
    }
    func list(_ directory: String) async throws(DiskError) -> [String] {
        try await inner.list(directory)
    }
    func rename(_ source: String, to target: String) async throws(DiskError) {
        try await inner.rename(source, to: target)
    }
    func unlink(_ name: String) async throws(DiskError) { try await inner.unlink(name) }
    func flushDirectory(_ name: String) async throws(DiskError) {
        try await inner.flushDirectory(name)
    }
    func freeByteCount() async throws(DiskError) -> UInt64 { try await inner.freeByteCount() }
    func shutdown() async { await inner.shutdown() }
}
