// Where a verb's words go. Answers go to `output`, everything else (warnings, progress, errors) to
// `errors`, so that a pipe sees answers only.

import Foundation
import Primitives

/// A place for text: a file descriptor, or memory in tests.
protocol TextSink: AnyObject {
    /// Decides colours and progress bars.
    var isTerminal: Bool { get }
    func write(_ text: String)
}

final class DescriptorSink: TextSink {
    let isTerminal: Bool
    private let handle: FileHandle

    init(_ handle: FileHandle) {
        self.handle = handle
        isTerminal = isatty(handle.fileDescriptor) == 1
    }

    func write(_ text: String) {
        // Nobody is left to tell when standard output cannot be written.
        try? handle.write(contentsOf: Data(text.utf8))
    }
}

/// Nowhere.
private final class NullSink: TextSink {
    let isTerminal = false
    func write(_ text: String) {}
}

enum Colour: String {
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
}

struct Console {
    let output: any TextSink
    let errors: any TextSink
    let clock: any StoreClock
    /// Off where the user said so (no-color.org), whatever the sink is.
    let allowsColour: Bool
    /// Asks whoever sits there for a yes; `nil` where nobody does.
    let ask: ((String) -> Bool)?

    init(
        output: any TextSink, errors: any TextSink, clock: any StoreClock = SystemClock(),
        allowsColour: Bool = true, ask: ((String) -> Bool)? = nil
    ) {
        self.output = output
        self.errors = errors
        self.clock = clock
        self.allowsColour = allowsColour
        self.ask = ask
    }

    static func standard() -> Console {
        let environment = ProcessInfo.processInfo.environment
        let errors = DescriptorSink(.standardError)
        let ask: (String) -> Bool = { question in
            errors.write(question)
            return ["y", "yes"].contains(readLine()?.lowercased())
        }
        return Console(
            output: DescriptorSink(.standardOutput), errors: errors,
            allowsColour: environment["NO_COLOR"] == nil && environment["TERM"] != "dumb",
            ask: isatty(STDIN_FILENO) == 1 && errors.isTerminal ? ask : nil)
    }

    /// Without answers and warnings; errors come after a verb.
    var silenced: Console {
        Console(output: NullSink(), errors: NullSink(), clock: clock, ask: ask)
    }

    func print(_ line: String = "") { output.write(line + "\n") }

    /// Something the user should know that is not the answer.
    func warn(_ line: String) {
        errors.write(painted("warning:", .yellow, on: errors) + " \(printable(line))\n")
    }

    func painted(_ text: String, _ colour: Colour, on sink: (any TextSink)? = nil) -> String {
        guard allowsColour, (sink ?? output).isTerminal else { return text }
        return "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m"
    }
}
