// A disk of a test's own: time, order and failure are drawn from seeds, and a power cut may leave
// whatever the contract's fault model (F-B) allows.
//
// Each request takes a drawn time, so completions reorder. Transfers act on the medium when they
// complete; until then a crash may keep any part of them. Everything runs on the thread that pumps
// the scheduler. The disk traps on misuse that a real one would punish later: an unaligned
// transfer, a write over a range with a request in flight (N-9), memory that changes under a write.

import BlockIO
import Glibc
import Primitives
import Synchronization

/// A medium, shared by everybody who has it open.
final class SharedMedium: Sendable {
    let state: Mutex<SimulatedMedium>
    /// Holds what hanging calls would have let go of: memory and continuations.
    let neverReturning = Mutex<[@Sendable () -> Void]>([])

    init(_ medium: SimulatedMedium) { state = Mutex(medium) }
}

/// A `Disk` in memory, under a seeded scheduler.
public final class SimulatedDisk: Disk {
    public let scheduler: SeededScheduler
    let medium: SharedMedium
    let opener: Int
    let isReadOnly: Bool
    private let counts = Mutex(DiskCounters())
    let held = Mutex(Held())

    /// An empty disk.
    public convenience init(
        scheduler: SeededScheduler, options: SimulatedDiskOptions = SimulatedDiskOptions()
    ) {
        self.init(scheduler: scheduler, medium: SharedMedium(SimulatedMedium(options)))
    }

    init(scheduler: SeededScheduler, medium: SharedMedium, isReadOnly: Bool = false) {
        self.scheduler = scheduler
        self.medium = medium
        self.isReadOnly = isReadOnly
        opener = medium.state.withLock { Int($0.number()) }
    }

    /// The same medium, opened once more, as another process would.
    public func openedAgain(readOnly: Bool = false) -> SimulatedDisk {
        SimulatedDisk(scheduler: scheduler, medium: medium, isReadOnly: readOnly)
    }

    public var traits: DiskTraits {
        DiskTraits(
            engine: "simulated", isDirect: true,
            alignment: medium.state.withLock { $0.options.alignment },
            hasRegisteredBuffers: false, notes: [])
    }

    public var counters: DiskCounters { counts.withLock { $0 } }

    public func makeBuffer(byteCount: Int) -> AlignedBuffer {
        AlignedBuffer(byteCount: byteCount, alignment: traits.alignment)
    }

    // MARK: Transfers

    public func submit(_ request: IORequest) {
        count(request)
        let flight = medium.state.withLock { begin(request, &$0) }
        if request.operation == .read {
            for slice in request.slices { SimulatedMemory.scribble(slice) }
        }
        schedule(afterNanoseconds: flight.time) { [self] in
            if flight.isShort { counts.withLock { $0.continuedCount += 1 } }
            finish(request, flight)
        }
    }

    /// What the medium decided when a request came in.
    private struct Flight: Sendable {
        let number: UInt64
        let file: Int
        let name: String
        var time: UInt64
        var isShort = false
        var fault: FaultKind?
        var written: [UInt8] = []
        var flush: SimulatedFile.FlushScope?
    }

    private func begin(_ request: IORequest, _ state: inout SimulatedMedium) -> Flight {
        guard let handle = state.handles[request.file], handle.whenIdle == nil else {
            preconditionFailure("file \(request.file.raw) is not open in this disk")
        }
        state.handles[request.file]!.useCount += 1
        var flight = Flight(
            number: state.number(), file: handle.file, name: handle.name,
            time: draw(request.operation, &state))
        flight.fault = state.fault(DiskOperation(request.operation))
        if request.operation != .flush { reserve(request, handle, flight.number, &state) }
        let odds = state.options.shortTransferOdds
        if odds > 0, request.operation != .flush,
            Int.random(in: 0..<odds, using: &state.generator) == 0
        {
            flight.isShort = true
            flight.time += draw(request.operation, &state)
        }
        guard request.operation != .read else { return flight }
        let isReal = state.enter(effect(.begins, request, flight))
        if request.operation == .flush {
            flight.flush = state.files[handle.file]!.flushScope
        } else {
            flight.written = SimulatedMemory.bytes(of: request.slice)
            if isReal {
                state.files[handle.file]!.begin(
                    PendingWrite(
                        number: flight.number, offset: Int(request.offset),
                        bytes: flight.written))
            }
        }
        return flight
    }

    private func draw(_ operation: IOOperation, _ state: inout SimulatedMedium) -> UInt64 {
        let options = state.options
        let times = operation == .flush ? options.flushTime : options.transferTime
        return UInt64.random(in: times, using: &state.generator)
    }

    /// Checks a transfer, and that nobody else is at its range.
    private func reserve(
        _ request: IORequest, _ handle: SimulatedMedium.Handle, _ number: UInt64,
        _ state: inout SimulatedMedium
    ) {
        let unit = state.options.alignment
        precondition(
            request.offset % UInt64(unit) == 0
                && request.slices.allSatisfy { $0.isAligned(to: unit) },
            "a transfer must be aligned to \(unit)")
        let isWrite = request.operation == .write
        precondition(handle.isWritable || !isWrite, "\(handle.name) is open for reading only")
        let range = request.offset..<request.offset + UInt64(request.byteCount)
        if isWrite {
            // Reads of another process are its own affair: an inspector waits for nobody.
            let isBusy = state.transfers.values.contains {
                $0.file == handle.file && $0.range.overlaps(range)
                    && ($0.isWrite || $0.opener == handle.opener)
            }
            precondition(
                !isBusy, "write of \(handle.name) \(range) over a request in flight (N-9)")
        }
        state.transfers[number] = SimulatedMedium.Transfer(
            opener: handle.opener, file: handle.file, range: range, isWrite: isWrite)
    }

    private func finish(_ request: IORequest, _ flight: Flight) {
        if request.operation == .write {
            precondition(
                SimulatedMemory.holds(request.slice, flight.written),
                "the memory of a write of \(flight.name) changed while it was in flight")
        }
        let (result, whenIdle) = medium.state.withLock { state in
            state.transfers[flight.number] = nil
            let result = settle(request, flight, &state)
            return (result, result == nil ? nil : release(request.file, &state))
        }
        guard let result else {
            medium.neverReturning.withLock { $0.append { request.completion(.success(0)) } }
            return
        }
        whenIdle?()
        request.completion(result)
    }

    /// Takes the request off its file. *Returns:* the close that waited for it, if it was the last.
    private func release(
        _ file: FileID, _ state: inout SimulatedMedium
    ) -> (@Sendable () -> Void)? {
        guard state.handles[file] != nil else { return nil }
        state.handles[file]!.useCount -= 1
        let handle = state.handles[file]!
        return handle.useCount == 0 ? handle.whenIdle : nil
    }

    /// The request's effect on the medium. *Returns:* `nil` for a call that never returns.
    private func settle(
        _ request: IORequest, _ flight: Flight, _ state: inout SimulatedMedium
    ) -> Result<Int, DiskError>? {
        var errorNumber = flight.fault?.errorNumber
        let file = flight.file
        if request.operation == .write && errorNumber == nil {
            let end = request.offset + UInt64(request.byteCount)
            if !state.hasSpace(file, for: end) { errorNumber = ENOSPC }
        }
        if request.operation == .read {
            if let stopped = state.stopped {
                return stopped == .hang ? nil : .failure(error(EIO, request, flight))
            }
        } else {
            let phase: Effect.Phase = errorNumber == nil ? .ends : .fails
            guard state.enter(effect(phase, request, flight)) else {
                return state.stopped == .hang ? nil : .failure(error(EIO, request, flight))
            }
        }
        switch (request.operation, errorNumber) {
        case (.read, nil):
            let end = request.offset + UInt64(request.byteCount)
            if state.isBad(file, request.offset..<end) {
                state.faultHitCount += 1
                return .failure(error(EIO, request, flight))
            }
            return .success(read(request, state.files[file]!))
        case (.read, _):
            if flight.fault == .short { return .success(read(request, state.files[file]!) / 2) }
            if flight.fault == .zero { return .success(0) }
        case (.write, nil):
            let start = Int(request.offset) / BlockMap.blockBytes
            let count = request.byteCount / BlockMap.blockBytes
            // A device gives a bad block that is written another place.
            state.badBlocks[file]?.subtract(start..<start + count)
            state.files[file]!.complete(flight.number)
            return .success(request.byteCount)
        case (.write, _):
            let unit = state.options.alignment
            let arrived: Int? =
                switch flight.fault {
                case .short: request.byteCount / 2 / unit * unit
                case .zero: 0
                default: nil
                }
            state.files[file]!.failWrite(flight.number, arrived: arrived, &state.generator)
        case (.flush, nil):
            state.files[file]!.complete(flight.flush!)
            return .success(0)
        case (.flush, _):
            state.files[file]!.fail(
                flight.flush!, isLossy: flight.fault == .lossy, &state.generator)
        }
        return .failure(error(errorNumber!, request, flight))
    }

    private func read(_ request: IORequest, _ file: SimulatedFile) -> Int {
        let offset = Int(request.offset)
        let count = max(0, min(request.byteCount, file.byteCount - offset))
        var bytes = file.content.bytes(at: offset, count: count)[...]
        for slice in request.slices where !bytes.isEmpty {
            SimulatedMemory.store(Array(bytes.prefix(slice.byteCount)), in: slice)
            bytes = bytes.dropFirst(slice.byteCount)
        }
        return count
    }

    // MARK: Small things

    private func count(_ request: IORequest) {
        counts.withLock { counts in
            let byteCount = UInt64(request.byteCount)
            switch request.operation {
            case .read:
                counts.readCount += 1
                counts.readBytes += byteCount
            case .write:
                counts.writeCount += 1
                counts.writtenBytes += byteCount
            case .flush: counts.flushCount += 1
            }
        }
    }

    private func effect(
        _ phase: Effect.Phase, _ request: IORequest, _ flight: Flight
    ) -> Effect {
        let isFlush = request.operation == .flush
        return Effect(
            operation: DiskOperation(request.operation), phase: phase, file: flight.name,
            offset: isFlush ? 0 : request.offset,
            byteCount: isFlush ? 0 : request.byteCount,
            time: scheduler.clock.monotonicNanoseconds)
    }

    private func error(
        _ number: Int32, _ request: IORequest, _ flight: Flight
    ) -> DiskError {
        DiskError(
            operation: "\(request.operation)", file: flight.name,
            offset: request.operation == .flush ? nil : request.offset, errorNumber: number)
    }
}

extension DiskOperation {
    init(_ operation: IOOperation) {
        switch operation {
        case .read: self = .read
        case .write: self = .write
        case .flush: self = .flush
        }
    }
}
