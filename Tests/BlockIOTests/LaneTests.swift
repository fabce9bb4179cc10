import Dispatch
import Glibc
import Synchronization
import Testing

@testable import BlockIO

@Suite struct LaneTests {
    @Test func oneLaneAloneIsServedInOrder() {
        var turn = LaneTurn()
        #expect((0..<9).allSatisfy { _ in turn.next(hasUrgent: true, hasBulk: false) == .urgent })
        #expect((0..<9).allSatisfy { _ in turn.next(hasUrgent: false, hasBulk: true) == .bulk })
        #expect(turn.next(hasUrgent: false, hasBulk: false) == nil)
        // Nobody waited meanwhile, so nothing is owed.
        #expect(turn.next(hasUrgent: true, hasBulk: true) == .urgent)
    }

    @Test func bulkNeverStarves() {
        var turn = LaneTurn()
        let order = (0..<100).map { _ in turn.next(hasUrgent: true, hasBulk: true) }
        #expect(order.filter { $0 == .bulk }.count == 20)
        #expect(order.prefix(5) == [.urgent, .urgent, .urgent, .urgent, .bulk])
    }

    @Test func threadsTakeTurnsToo() {
        let threads = WorkThreads(name: "lanes", count: 1)
        let (started, go) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let done = DispatchSemaphore(value: 0)
        threads.run {
            started.signal()
            go.wait()
        }
        // The only thread is busy, so what follows waits.
        started.wait()
        let log = Log()
        for number in 0..<3 { threads.run(lane: .bulk) { log.add("bulk \(number)") } }
        for number in 0..<9 { threads.run { log.add("urgent \(number)") } }
        threads.run(lane: .bulk) { done.signal() }
        go.signal()
        done.wait()
        threads.finish()
        #expect(
            log.lines == [
                "urgent 0", "urgent 1", "urgent 2", "urgent 3", "bulk 0", "urgent 4", "urgent 5",
                "urgent 6", "urgent 7", "bulk 1", "urgent 8", "bulk 2",
            ])
    }

    private final class Log: Sendable {
        private let state = Mutex<[String]>([])
        func add(_ line: String) { state.withLock { $0.append(line) } }
        var lines: [String] { state.withLock { $0 } }
    }

    @Test func anEventCanBePolledFor() throws {
        let event = try EventDescriptor()
        func isReadable() -> Bool {
            var wanted = pollfd(fd: event.raw, events: Int16(POLLIN), revents: 0)
            return poll(&wanted, 1, 0) == 1
        }
        #expect(!isReadable())
        event.ring()
        event.ring()
        #expect(isReadable() && isReadable())
        event.silence()
        #expect(!isReadable())
        event.silence()
    }
}
