// Marks against vacuous runs (research 3.1): a suite names the rare things it claims to reach,
// counts them, and fails when one was never seen.

import Synchronization

public final class Marks: Sendable {
    private let counts = Mutex<[String: Int]>([:])
    public init() {}

    public func hit(_ name: String, if condition: Bool = true, count: Int = 1) {
        if condition { counts.withLock { $0[name, default: 0] += count } }
    }

    public subscript(name: String) -> Int { counts.withLock { $0[name] ?? 0 } }

    /// The names that were hit less than `minimum` times.
    public func missing(of names: [String], atLeast minimum: Int = 1) -> [String] {
        names.filter { self[$0] < minimum }
    }

    public var summary: String {
        counts.withLock { counts in
            counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
                .joined(separator: ", ")
        }
    }
}
