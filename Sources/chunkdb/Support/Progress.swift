// A bar on standard error for work that takes long, and only where somebody looks at it.

import Primitives

/// Drawn at most ten times a second, and only once the work has gone on for a second, so that
/// what is quick stays quiet. Never drawn unless `errors` is a terminal.
struct Progress {
    private static let quietNanoseconds: UInt64 = 1_000_000_000
    private static let stepNanoseconds: UInt64 = 100_000_000
    private static let barColumns = 30

    private let console: Console
    private let title: String
    private let total: UInt64
    /// Whether the work is counted in bytes, and so has a rate worth showing.
    private let isBytes: Bool
    private let began: UInt64
    private var nextDraw: UInt64
    private var isDrawn = false

    init(_ title: String, totalBytes: UInt64, on console: Console) {
        self.init(title, total: totalBytes, isBytes: true, on: console)
    }

    /// Work counted in pieces.
    init(_ title: String, total: UInt64, on console: Console) {
        self.init(title, total: total, isBytes: false, on: console)
    }

    private init(_ title: String, total: UInt64, isBytes: Bool, on console: Console) {
        self.console = console
        self.title = title
        self.total = max(total, 1)
        self.isBytes = isBytes
        began = console.clock.monotonicNanoseconds
        nextDraw = began + Self.quietNanoseconds
    }

    mutating func update(doneBytes: UInt64) { update(done: doneBytes) }

    mutating func update(done amount: UInt64) {
        guard console.errors.isTerminal else { return }
        let now = console.clock.monotonicNanoseconds
        guard now >= nextDraw else { return }
        nextDraw = now + Self.stepNanoseconds
        isDrawn = true
        let done = min(Double(amount) / Double(total), 1)
        let filled = Int(done * Double(Self.barColumns))
        let seconds = Double(now - began) / 1e9
        let rate = isBytes
            ? "  \(ByteCount(UInt64(Double(amount) / seconds)))/s" : "  \(amount) of \(total)"
        let left = done > 0 ? Int((seconds / done - seconds).rounded(.up)) : 0
        console.errors.write(
            "\r\(title) [\(String(repeating: "█", count: filled))"
                + "\(String(repeating: "·", count: Self.barColumns - filled))] "
                + "\(Int(done * 100)) %\(rate)  \(left) s left\u{1B}[K")
    }

    /// Takes the bar off the screen.
    consuming func finish() {
        if isDrawn { console.errors.write("\r\u{1B}[K") }
    }
}
