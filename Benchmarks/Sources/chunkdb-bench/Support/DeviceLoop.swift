// The yardstick: the shortest loop over the Disk seam. `depth` lanes, each with memory of its own
// that is touched once; a lane's completion starts its next transfer on the disk's thread, so no
// thread of ours stands between two transfers. What it reaches is what this engine of the seam can
// get out of the device for such sizes; what the store reaches is divided by it.

import ChunkDB
import Dispatch
import Synchronization

final class DeviceLoop: Sendable {
    enum Kind: String, CaseIterable, Sendable {
        case read
        /// A read whose bytes are then looked at, as every user of them must.
        case readAndTouch = "read+touch"
        /// A read whose bytes another thread digests while the next read is on its way, into spare
        /// memory: what verification costs on this machine when nothing waits for it.
        case readAndDigest = "read+digest"
        case write
        /// A write and then a flush (fdatasync), as a durable put.
        case durableWrite = "write+flush"
    }

    let disk: any Disk
    let file: FileID
    let operationBytes: Int
    let fileBytes: Int
    /// Where the first operation's place begins: the store's extents stand at units, not at their
    /// size.
    private let origin: UInt64
    private let depth: Int
    /// `depth` of them are in hand at once; the spare ones are digested meanwhile.
    private let lanes: [Lane]

    /// Memory of one lane.
    private final class Lane: Sendable {
        let buffer: AlignedBuffer
        init(_ buffer: consuming AlignedBuffer) { self.buffer = buffer }
    }

    /// Makes a preallocated file of `fileBytes` in a new directory. Operations are rounded up to
    /// whole units.
    init(
        directory: String, operationBytes: Int, depth: Int, fileBytes: Int, origin: Int = 0,
        spareLanes: Int = 0, options: DiskOptions
    ) throws {
        var options = options
        let laneCount = depth + spareLanes
        let operationBytes = Self.wholeUnits(operationBytes)
        options.registeredPoolBytes = min(max(operationBytes * laneCount, 64 << 20), 1 << 30)
        // The store's own restraint is part of what is measured; the yardstick has none.
        options.queueDepth = max(options.queueDepth, 32)
        options.queueBytes = .max
        let disk = try openDisk(
            directory: directory, create: true, readOnly: false, options: options)
        self.disk = disk
        self.operationBytes = operationBytes
        self.fileBytes = fileBytes / operationBytes * operationBytes
        self.origin = UInt64(origin)
        let byteCount = UInt64(self.fileBytes + origin)
        file = try blocking {
            let file = try await disk.open("yardstick", .createNew)
            try await disk.allocate(file, byteCount: byteCount)
            try await disk.flush(file)
            return file
        }
        self.depth = depth
        lanes = (0..<laneCount).map { lane in
            var buffer = disk.makeBuffer(byteCount: operationBytes)
            fillRandom(&buffer, seed: UInt64(lane) + 1)
            return Lane(buffer)
        }
    }

    /// Direct transfers are of whole units: what `byteCount` takes.
    static func wholeUnits(_ byteCount: Int) -> Int { (byteCount + 4_095) / 4_096 * 4_096 }

    func close() throws {
        try blocking { [disk] in await disk.shutdown() }
    }

    /// Writes the whole file once, so that reads of it are reads of the device.
    func fill() throws {
        _ = try run(
            .write, at: (0..<fileBytes / operationBytes).map { UInt64($0 * operationBytes) })
        try blocking { [disk, file] in try await disk.flush(file) }
    }

    /// Transfers at all offsets, `depth` at once; by default as the loop was made for.
    func run(_ kind: Kind, at offsets: [UInt64], depth: Int? = nil) throws -> Work {
        let started = min(depth ?? self.depth, self.depth, offsets.count)
        let run = Run(self, kind, offsets, spare: Array(self.depth..<lanes.count))
        for lane in 0..<started { run.startNext(lane) }
        run.wait()
        if let failure = run.failure { throw failure }
        return Work(
            operations: offsets.count, bytes: offsets.count * operationBytes,
            latencies: run.latencies)
    }

    /// `count` offsets in random order and with repetition, on the grid of the operation's size.
    func randomOffsets(_ count: Int, _ generator: inout SeededGenerator) -> [UInt64] {
        let places = fileBytes / operationBytes
        return (0..<count).map { _ in
            UInt64(Int.random(in: 0..<places, using: &generator) * operationBytes)
        }
    }

    /// One call of `run`.
    private final class Run: Sendable {
        private struct State {
            var next = 0
            var running = 0
            var spare: [Int]
            /// Transfers that wait for spare memory.
            var stalled = 0
            var latencies: [UInt64] = []
            var failure: DiskError?
        }
        private let loop: DeviceLoop
        private let kind: Kind
        private let offsets: [UInt64]
        private let state: Mutex<State>
        private let finished = DispatchSemaphore(value: 0)
        private let digester = DispatchQueue(label: "digester")

        init(_ loop: DeviceLoop, _ kind: Kind, _ offsets: [UInt64], spare: [Int]) {
            state = Mutex(State(spare: spare))
            self.loop = loop
            self.kind = kind
            self.offsets = offsets
            state.withLock { $0.latencies.reserveCapacity(offsets.count) }
        }

        var latencies: [UInt64] { state.withLock { $0.latencies } }
        var failure: DiskError? { state.withLock { $0.failure } }

        func wait() { if !offsets.isEmpty { finished.wait() } }

        /// Starts the lane's next transfer, if one is left.
        func startNext(_ lane: Int) {
            let index = state.withLock { state -> Int? in
                guard state.next < offsets.count, state.failure == nil else { return nil }
                defer { state.next += 1 }
                state.running += 1
                return state.next
            }
            guard let index else { return }
            let start = Clocks.now
            loop.disk.submit(
                IORequest(
                    kind == .write || kind == .durableWrite ? .write : .read, file: loop.file,
                    offset: loop.origin + offsets[index],
                    slice: loop.lanes[lane].buffer.slice
                ) { result in
                    if self.kind == .readAndTouch { touch(self.loop.lanes[lane].buffer) }
                    if self.kind == .durableWrite, case .success = result {
                        self.flush(lane, since: start)
                    } else {
                        self.end(lane, since: start, result)
                    }
                })
        }

        private func flush(_ lane: Int, since start: UInt64) {
            loop.disk.submit(
                IORequest(
                    .flush, file: loop.file, offset: 0,
                    slice: IOSlice(address: 0, byteCount: 0, owner: nil)
                ) { self.end(lane, since: start, $0) })
        }

        private func end(_ lane: Int, since start: UInt64, _ result: Result<Int, DiskError>) {
            let nanoseconds = Clocks.now - start
            state.withLock { state in
                state.latencies.append(nanoseconds)
                if case .failure(let error) = result, state.failure == nil {
                    state.failure = error
                }
            }
            if kind == .readAndDigest {
                startOnSpare()
                digester.async {
                    digest(self.loop.lanes[lane].buffer)
                    self.giveBack(lane)
                }
            } else {
                startNext(lane)
                leave()
            }
        }

        private func startOnSpare() {
            let lane = state.withLock { state -> Int? in
                if state.spare.isEmpty { state.stalled += 1 }
                return state.spare.popLast()
            }
            if let lane { startNext(lane) }
        }

        private func giveBack(_ lane: Int) {
            let mustStart = state.withLock { state in
                if state.stalled == 0 { state.spare.append(lane) }
                defer { state.stalled = max(state.stalled - 1, 0) }
                return state.stalled > 0
            }
            if mustStart { startNext(lane) }
            leave()
        }

        private func leave() {
            let isLast = state.withLock { state in
                state.running -= 1
                return state.running == 0
            }
            if isLast { finished.signal() }
        }
    }
}
