// `chunkdb PATH`: verbs one after the other on one store, with the same words and the same output
// as one-shot. Every verb looks anew, so what is shown is never older than its line.

import ArgumentParser
import Foundation

/// Where a session's lines come from.
protocol LineSource: AnyObject {
    /// Whether somebody sits there, who wants a greeting and has seen each exit.
    var isInteractive: Bool { get }
    /// The next line; `nil` at the end. `candidates` takes the line up to the word under the
    /// cursor, and that word.
    func next(
        prompt: String, candidates: @escaping @Sendable (String, String) -> [String]
    ) -> String?
    /// A line that was understood, to be had again.
    func remember(_ line: String)
}

/// Lines from a pipe or file, or from a terminal without a line editor.
final class PlainLines: LineSource {
    let isInteractive: Bool
    private let output: any TextSink

    init(output: any TextSink) {
        self.output = output
        isInteractive = isatty(STDIN_FILENO) == 1
    }

    func next(
        prompt: String, candidates: @escaping @Sendable (String, String) -> [String]
    ) -> String? {
        guard isInteractive else { return readLine() }
        output.write(prompt)
        // Without an editor Ctrl-C drops what was typed, and is no verb's.
        defer { Interruption.clear() }
        return readLine()
    }

    func remember(_ line: String) {}
}

struct Session {
    let shell: Shell
    let path: String
    /// Options of the session, which hold for every verb: `--buffered`, `--json`, `--engine`.
    let options: [String]
    let lines: any LineSource

    /// *Returns:* at a terminal `.fine`; otherwise how the first line that failed did.
    func run() throws(ShellError) -> ShellExit {
        // `chunkdb inf`, say.
        guard FileManager.default.fileExists(atPath: path) else {
            throw ShellError(.cannotOpen, "\(path): no such directory, and not a verb")
        }
        if lines.isInteractive {
            try greet()
            Interruption.watch()
        }
        let completion = Completion()
        var result = ShellExit.fine
        while true {
            // One look for all Tabs of a line.
            let look = Lazy { [path, options] in try? Self.arguments(path, options).openStore() }
            // Not after it: Ctrl-C may be quicker than its verb.
            Interruption.clear()
            let line = lines.next(prompt: "chunkdb> ") { before, text in
                completion.candidates(before: before, text: text) { look.value?.listing }
            }
            guard let line else { break }
            guard let words = words(line), let verb = words.first else { continue }
            lines.remember(line.trimmingCharacters(in: .whitespaces))
            if verb == "quit" || verb == "exit" { break }
            let isAboutStore = verb != "help" && !Chunkdb.storelessVerbs.contains(verb)
            let exit = shell.runOnce(
                isAboutStore ? [path, verb] + options + words.dropFirst() : words)
            if result == .fine { result = exit }
        }
        if lines.isInteractive { shell.console.print() }
        return lines.isInteractive ? .fine : result
    }

    /// What the options say; `Shell` has found them sound.
    private static func arguments(_ path: String, _ options: [String]) throws -> StoreArguments {
        try StoreArguments.parse([path] + options)
    }

    /// Says where one is, or that nothing is there.
    private func greet() throws(ShellError) {
        let view: StoreView
        do {
            view = try Self.arguments(path, options).openStore()
        } catch {
            throw error as? ShellError ?? ShellError(.usage, "\(error)")
        }
        let spaces = view.listing.namespaces.count
        shell.console.print(
            printable(
                "\(path): \(counted(view.listing.entries.count, "variant")) in "
                    + "\(counted(spaces, "namespace")). `help` lists the verbs, Tab completes, "
                    + "`quit` ends."))
        view.warnOfDamage(on: shell.console)
    }

    private func words(_ line: String) -> [String]? {
        do throws(ShellError) {
            let words = try LineWords.split(line)
            return words.first?.hasPrefix("#") == true ? nil : words
        } catch {
            shell.complain(error.message)
            return nil
        }
    }
}

/// Made when first asked for; one thread asks.
private final class Lazy<Value>: @unchecked Sendable {
    // SAFETY: the line editor calls back on the thread that called it.
    private var made: Value?
    private let make: () -> Value?
    init(_ make: @escaping () -> Value?) { self.make = make }
    var value: Value? {
        if made == nil { made = make() }
        return made
    }
}
