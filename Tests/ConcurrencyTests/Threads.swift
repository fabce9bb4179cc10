// Real threads that start together; more of them than cores, so that they are torn from their work
// anywhere. Plain pthreads, because these the thread sanitizer understands.

import Foundation
import Synchronization

/// Runs `body` on `count` threads at once and waits for all.
func runThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let gate = Gate(count: count)
    let threads = (0..<count).map { number in
        let start = Unmanaged.passRetained(
            Start {
                gate.arriveAndWait()
                body(number)
            }
        )
        var thread = pthread_t()
        let status = pthread_create(
            &thread,
            nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            },
            start.toOpaque()
        )
        precondition(status == 0, "a thread could not be made")
        return thread
    }
    for thread in threads { pthread_join(thread, nil) }
}

private final class Start: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

private final class Gate: Sendable {
    private let arrived = Atomic<Int>(0)
    private let count: Int
    init(count: Int) { self.count = count }

    func arriveAndWait() {
        arrived.wrappingAdd(1, ordering: .acquiringAndReleasing)
        while arrived.load(ordering: .acquiring) < count { sched_yield() }
    }
}

/// Results that threads leave behind.
final class Collected<Element: Sendable>: @unchecked Sendable {
    private let lock = NSLock()
    private var all: [Element] = []
    func add(_ elements: [Element]) { lock.withLock { all.append(contentsOf: elements) } }
    func take() -> [Element] { lock.withLock { all } }
}
