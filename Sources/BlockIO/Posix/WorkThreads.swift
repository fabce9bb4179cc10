// Threads for calls that block, so that none of them blocks Swift's cooperative pool.

import Dispatch
import Foundation
import Synchronization

/// A fixed number of threads and one queue of two lanes.
package final class WorkThreads: Sendable {
    package typealias Work = @Sendable () -> Void

    private struct State {
        var urgent = FIFO<Work>()
        var bulk = FIFO<Work>()
        var turn = LaneTurn()
        var isFinished = false

        mutating func popFirst() -> Work? {
            switch turn.next(hasUrgent: !urgent.isEmpty, hasBulk: !bulk.isEmpty) {
            case .urgent: urgent.popFirst()
            case .bulk: bulk.popFirst()
            case nil: nil
            }
        }
    }
    private let state = Mutex(State())
    /// Counts the work that waits; after `finish`, one more for each thread.
    private let waiting = DispatchSemaphore(value: 0)
    private let threadCount: Int

    /// - Parameter begin: what each thread does first.
    package init(name: String, count: Int, begin: @escaping Work = {}) {
        threadCount = count
        for _ in 0..<count {
            let thread = Thread { [self] in
                begin()
                work()
            }
            thread.name = name
            thread.start()
        }
    }

    /// Queues work. Traps after `finish`.
    package func run(lane: IOLane = .urgent, _ work: @escaping Work) {
        state.withLock { state in
            precondition(!state.isFinished, "the disk has been shut down")
            switch lane {
            case .urgent: state.urgent.append(work)
            case .bulk: state.bulk.append(work)
            }
        }
        waiting.signal()
    }

    /// Ends the threads after the work that is queued.
    package func finish() {
        let isFirst = state.withLock { state in
            defer { state.isFinished = true }
            return !state.isFinished
        }
        if isFirst { for _ in 0..<threadCount { waiting.signal() } }
    }

    private func work() {
        while true {
            waiting.wait()
            guard let next = state.withLock({ $0.popFirst() }) else { return }
            next()
        }
    }
}
