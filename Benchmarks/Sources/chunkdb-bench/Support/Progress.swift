// A bar on stderr, for people who wait: only on a terminal, and only after two seconds.

import Foundation
import Glibc

final class Progress {
    /// Where a verb's bar stands in that of a longer run.
    struct Part: Sendable {
        var name = ""
        var begin = 0.0
        var share = 1.0
        /// Of the whole run.
        var start: UInt64?
    }
    @TaskLocal static var part = Part()

    private let start = Progress.part.start ?? Clocks.now
    private let isShown = isatty(STDERR_FILENO) == 1
    private var wasDrawn = false
    private var stepCount: Int
    private var done = 0

    init(stepCount: Int) { self.stepCount = max(stepCount, 1) }

    /// More work than was known at first.
    func expect(_ more: Int) { stepCount += more }

    /// One more step is done; `rate` says how fast it was.
    func advance(_ what: String, bytesPerSecond: Double? = nil) {
        done = min(done + 1, stepCount)
        let elapsed = Double(Clocks.now - start) / 1e9
        guard isShown, elapsed >= 2 else { return }
        wasDrawn = true
        let part = Self.part
        let share = part.begin + part.share * Double(done) / Double(stepCount)
        let filled = Int(24 * share)
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 24 - filled)
        let left = elapsed / share * (1 - share)
        let rate = bytesPerSecond.map { "  \(Int($0 / 1_048_576)) MiB/s" } ?? ""
        write(
            "\r\u{1B}[K\(bar) \(Int(100 * share)) %  \(part.name)\(what)\(rate)  "
                + "\(Int(left)) s left")
    }

    func finish() {
        if wasDrawn { write("\r\u{1B}[K") }
        wasDrawn = false
    }

    private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
