// libedit, where the machine has it: found at run time, so that nobody needs it to build or to run
// one-shot verbs. Its readline interface is used, since the native one is variadic, which Swift
// cannot call.
//
// Ctrl-C: libedit's own handling of signals would leave the terminal cooked in the middle of a
// line, so while a line is edited the terminal sends no signal, and the key clears the line.

import Foundation
import Synchronization

final class LineEditor: LineSource {
    private typealias Text = UnsafeMutablePointer<CChar>
    private typealias Hook = @convention(c) () -> CInt
    private typealias Plain = @convention(c) () -> Void
    private typealias ReadLine = @convention(c) (UnsafePointer<CChar>) -> Text?
    private typealias TakeText = @convention(c) (UnsafePointer<CChar>) -> CInt
    private typealias TakeNumber = @convention(c) (CInt) -> Void
    private typealias Generator = @convention(c) (UnsafePointer<CChar>?, CInt) -> Text?
    private typealias Matches =
        @convention(c) (UnsafePointer<CChar>?, Generator) -> UnsafeMutablePointer<Text?>?
    private typealias Attempt =
        @convention(c) (UnsafePointer<CChar>?, CInt, CInt) -> UnsafeMutablePointer<Text?>?

    /// What the library's callbacks, which carry no context, need.
    private struct Callbacks: Sendable {
        var candidates: (@Sendable (String, String) -> [String])?
        var found: [String] = []
        var library: Library
    }
    private static let callbacks = Mutex<Callbacks?>(nil)

    /// Lines kept from one session to the next.
    private static let historyLineCount: CInt = 1_000

    let isInteractive = true
    private let library: Library
    private let historyPath: String?

    /// *Returns:* `nil` without a terminal on both sides, or without the library.
    init?() {
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1,
            ProcessInfo.processInfo.environment["TERM"] != "dumb", let library = Library()
        else { return nil }
        self.library = library
        historyPath = Self.historyFile()
        // Characters of several bytes are edited as one.
        _ = unsafe setlocale(LC_CTYPE, "")
        library.function("rl_initialize", as: Plain.self)?()
        library.function("using_history", as: Plain.self)?()
        library.function("stifle_history", as: TakeNumber.self)?(Self.historyLineCount)
        if let historyPath {
            _ = unsafe library.function("read_history", as: TakeText.self)?(historyPath)
        }
        completeWords()
        clearLineOnInterrupt()
    }

    func next(
        prompt: String, candidates: @escaping @Sendable (String, String) -> [String]
    ) -> String? {
        Self.callbacks.withLock { $0?.candidates = candidates }
        // SAFETY: readline returns memory of malloc that is the caller's, or null at the end.
        guard let line = unsafe library.function("readline", as: ReadLine.self)?(prompt) else {
            return nil
        }
        defer { unsafe free(line) }
        return unsafe String(cString: line)
    }

    func remember(_ line: String) {
        _ = unsafe library.function("add_history", as: TakeText.self)?(line)
        guard let historyPath else { return }
        _ = unsafe library.function("write_history", as: TakeText.self)?(historyPath)
    }

    // MARK: Completion

    private func completeWords() {
        Self.callbacks.withLock { $0 = Callbacks(library: library) }
        let attempt: Attempt = { text, start, _ in
            // Otherwise names of files are offered, which no verb wants here.
            unsafe LineEditor.library?.variable("rl_attempted_completion_over", of: CInt.self)?
                .pointee = 1
            // SAFETY: the library passes a C string, and its line as one, for this call.
            guard let text = unsafe text, let library = LineEditor.library,
                let line = unsafe library.variable("rl_line_buffer", of: Text?.self)?.pointee
            else { return nil }
            let before = unsafe String(
                decoding: UnsafeRawBufferPointer(start: line, count: max(0, Int(start))),
                as: UTF8.self)
            LineEditor.find(before: before, text: unsafe String(cString: text))
            let generator: Generator = { _, index in
                // SAFETY: the library frees what it is given.
                guard let word = LineEditor.candidate(Int(index)) else { return nil }
                return unsafe strdup(word)
            }
            return unsafe library.function("rl_completion_matches", as: Matches.self)?(
                text, generator)
        }
        unsafe library.variable("rl_attempted_completion_function", of: Attempt?.self)?.pointee =
            attempt
        // Quotes belong to words, so that a quoted name is one.
        // SAFETY: the library keeps the pointer for ever, so the copy is never freed.
        unsafe library.variable("rl_completer_word_break_characters", of: Text?.self)?.pointee =
            strdup(" \t")
        unsafe library.variable("rl_basic_word_break_characters", of: Text?.self)?.pointee =
            strdup(" \t")
    }

    private static var library: Library? { callbacks.withLock { $0?.library } }

    private static func find(before: String, text: String) {
        let candidates = callbacks.withLock { $0?.candidates }
        let found = candidates?(before, text) ?? []
        callbacks.withLock { $0?.found = found }
    }

    private static func candidate(_ index: Int) -> String? {
        callbacks.withLock { callbacks in
            guard let found = callbacks?.found, index < found.count else { return nil }
            return found[index]
        }
    }

    // MARK: Ctrl-C

    private func clearLineOnInterrupt() {
        // For each line anew: the library sets up the terminal when it begins to read one.
        let prepare: Hook = {
            for line in ["setty -d -isig", "bind ^C em-kill-line"] {
                _ = unsafe LineEditor.library?.function(
                    "rl_parse_and_bind", as: TakeText.self)?(line)
            }
            return 0
        }
        unsafe library.variable("rl_pre_input_hook", of: Hook?.self)?.pointee = prepare
    }

    // MARK: History

    /// `CHUNKDB_HISTORY`, or a file at home; `nil` when it cannot be written. Only its owner may
    /// read it: keys and names of namespaces are somebody's.
    private static func historyFile() -> String? {
        let environment = ProcessInfo.processInfo.environment
        let path =
            environment["CHUNKDB_HISTORY"]
            ?? environment["HOME"].map { "\($0)/.chunkdb_history" }
        guard let path, !path.isEmpty else { return nil }
        // SAFETY: the path is a C string for the time of the call.
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return nil }
        close(file)
        return path
    }

    /// A handle of the dynamic loader, which is never given back.
    @safe private struct Library: @unchecked Sendable {
        // SAFETY: the loader's handle is only ever passed to `dlsym`.
        private let handle: UnsafeMutableRawPointer

        init?() {
            for name in ["libedit.so.2", "libedit.so.0", "libedit.so"] {
                // SAFETY: the name is a C string for the time of the call.
                if let handle = unsafe dlopen(name, RTLD_NOW) {
                    unsafe self.handle = handle
                    return
                }
            }
            return nil
        }

        /// SAFETY: callers name functions of readline's interface with their C types.
        func function<Function>(_ name: String, as type: Function.Type) -> Function? {
            guard let symbol = unsafe dlsym(handle, name) else { return nil }
            return unsafe unsafeBitCast(symbol, to: type)
        }

        /// SAFETY: callers name variables of readline's interface with their C types.
        func variable<Value>(_ name: String, of type: Value.Type) -> UnsafeMutablePointer<Value>? {
            unsafe dlsym(handle, name)?.assumingMemoryBound(to: type)
        }
    }
}
