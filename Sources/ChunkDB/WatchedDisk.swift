// A disk that notices requests without an answer (CONTRACT X-2): one that is on its way for longer
// than a stated time is counted and logged, once; nothing else happens to it, since memory and
// range stay the request's. There is no timer: every request and every completion looks at the
// clock, and the table is walked about once in a tenth of the stated time. A store that nobody
// calls reports nothing, and loses nothing either.

import BlockIO
import Primitives
import Synchronization

final class WatchedDisk: Disk {
    private struct Outstanding {
        let operation: IOOperation
        let file: FileID
        let offset: UInt64
        let byteCount: Int
        let since: UInt64
        var isReported = false
    }
    private struct State {
        var requests: [UInt64: Outstanding] = [:]
        var nextNumber: UInt64 = 0
        var nextLook: UInt64 = 0
        var stalledCount: UInt64 = 0
        var readMeter = ReadMeter()
    }
    private let state = Mutex(State())
    private let inner: any Disk
    private let clock: any StoreClock
    private let limit: UInt64
    private let report: @Sendable (String) -> Void

    init(
        _ inner: any Disk, limit: Duration, clock: any StoreClock,
        report: @escaping @Sendable (String) -> Void
    ) {
        self.inner = inner
        self.clock = clock
        self.limit = UInt64(min(max(limit / .nanoseconds(1), 1), 1e18))
        self.report = report
    }

    func submit(_ request: IORequest) { inner.submit(begin([request])[0]) }
    func submit(_ requests: [IORequest]) { inner.submit(begin(requests)) }

    private func begin(_ requests: [IORequest]) -> [IORequest] {
        let now = clock.monotonicNanoseconds
        let first = state.withLock { state in
            let first = state.nextNumber
            for request in requests {
                state.requests[state.nextNumber] = Outstanding(
                    operation: request.operation, file: request.file, offset: request.offset,
                    byteCount: request.byteCount, since: now)
                if request.operation == .read { state.readMeter.begin(at: now) }
                state.nextNumber += 1
            }
            return first
        }
        look(now)
        return requests.enumerated().map { index, request in
            IORequest(
                request.operation, file: request.file, offset: request.offset,
                slice: request.slice, furtherSlices: request.furtherSlices,
                lane: request.lane
            ) { [self] result in
                end(first + UInt64(index), result)
                request.completion(result)
            }
        }
    }

    /// Late answers count too: the request itself may be the first to notice.
    private func end(_ number: UInt64, _ result: Result<Int, DiskError>) {
        let now = clock.monotonicNanoseconds
        let late = state.withLock { state -> Outstanding? in
            guard let request = state.requests.removeValue(forKey: number) else { return nil }
            if request.operation == .read {
                let isWhole = (try? result.get()) == request.byteCount
                state.readMeter.end(byteCount: isWhole ? request.byteCount : nil, at: now)
            }
            return !request.isReported && isLate(request, now) ? request : nil
        }
        if let late { tell(late, now) }
        look(now)
    }

    /// Clocks are read outside the lock, so another's beginning may be later than `now`.
    private func isLate(_ request: Outstanding, _ now: UInt64) -> Bool {
        now > request.since && now - request.since >= limit
    }

    private func look(_ now: UInt64) {
        let late = state.withLock { state -> [Outstanding] in
            guard now >= state.nextLook else { return [] }
            state.nextLook = now &+ limit / 10
            let late = state.requests.filter { !$0.value.isReported && isLate($0.value, now) }
            for number in late.keys { state.requests[number]!.isReported = true }
            return late.sorted { $0.key < $1.key }.map(\.value)
        }
        for request in late { tell(request, now) }
    }

    private func tell(_ request: Outstanding, _ now: UInt64) {
        state.withLock { $0.stalledCount += 1 }
        report(
            "stalled: \(request.operation) of file \(request.file.raw) at byte "
                + "\(request.offset): no answer for \((now - request.since) / 1_000_000) ms")
    }

    /// Requests that had no answer in time, since the store was opened.
    var stalledCount: UInt64 { state.withLock { $0.stalledCount } }

    /// What reads have come to so far; `nil` before there were enough.
    var readSpeed: ReadSpeed? { state.withLock { $0.readMeter.speed } }

    // MARK: As the disk itself

    var traits: DiskTraits { inner.traits }
    var counters: DiskCounters { inner.counters }
    func makeBuffer(byteCount: Int) -> AlignedBuffer { inner.makeBuffer(byteCount: byteCount) }
    func makeReadBuffer(byteCount: Int) -> AlignedBuffer {
        inner.makeReadBuffer(byteCount: byteCount)
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
    func withDescriptor<Value>(of file: FileID, _ body: (Int32) -> Value) -> Value? {
        inner.withDescriptor(of: file, body)
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
