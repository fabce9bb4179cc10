// From words to an exit code; everything but the process itself, so that tests run it in place.

import ArgumentParser
import Foundation

struct Shell {
    let console: Console
    /// Where a session reads its lines; without one, `chunkdb PATH` alone is a usage error.
    var lines: (() -> any LineSource)?

    /// One verb, or, when there is none, a session.
    func run(_ arguments: [String]) -> ShellExit {
        guard let lines, let path = CommandLineShape.sessionPath(arguments, verbs: Self.verbs)
        else { return runOnce(arguments) }
        do {
            _ = try StoreArguments.parse(arguments)
        } catch {
            return explain(error)
        }
        do throws(ShellError) {
            return try Session(
                shell: self, path: path, options: Array(arguments.dropFirst()),
                lines: lines()
            ).run()
        } catch {
            complain(error.message)
            return error.exit
        }
    }

    private static let verbs = Chunkdb.verbs.map { $0._commandName }

    func runOnce(_ arguments: [String]) -> ShellExit {
        var command: any ParsableCommand
        do {
            command = try Chunkdb.parseAsRoot(
                CommandLineShape.verbFirst(arguments, verbs: Self.verbs))
        } catch {
            return explain(error)
        }
        guard let verb = command as? any ShellVerb else {
            do {
                try command.run()
                return .fine
            } catch {
                return explain(error)
            }
        }
        do throws(ShellError) {
            return try verb.run(on: verb.isQuiet ? console.silenced : console)
        } catch {
            return report(error, of: verb)
        }
    }

    /// Help goes to the output and is fine; everything else is a usage error.
    private func explain(_ error: any Error) -> ShellExit {
        let message = Chunkdb.fullMessage(for: error)
        if Chunkdb.exitCode(for: error) == .success {
            console.print(message)
            return .fine
        }
        if let error = error as? ShellError {
            complain(error.message)
            return error.exit
        }
        // The parser repeats what was typed: line by line, so that its layout stays.
        for line in message.split(separator: "\n", omittingEmptySubsequences: false) {
            console.errors.write(printable(line) + "\n")
        }
        return .usage
    }

    private func report(_ error: ShellError, of verb: any ShellVerb) -> ShellExit {
        if verb.wantsJSON {
            console.print(
                json: ErrorReport(
                    verb: type(of: verb)._commandName,
                    error: .init(message: error.message, exitCode: error.exit.rawValue)))
        } else {
            complain(error.message)
        }
        return error.exit
    }

    func complain(_ message: String) {
        let lines = message.split(separator: "\n").map { printable($0) }
        console.errors.write(
            console.painted("chunkdb:", .red, on: console.errors)
                + " \(lines.joined(separator: "\n"))\n")
    }
}

/// `chunkdb PATH VERB …` and `chunkdb VERB PATH …` are one command line.
enum CommandLineShape {
    /// The words with the verb in front. A first word that is a verb or an option stays where it
    /// is; any other is a path. *Throws:* `.usage` when no verb follows the path.
    static func verbFirst(_ words: [String], verbs: [String]) throws(ShellError) -> [String] {
        guard let path = path(words, verbs: verbs) else { return words }
        let choices = "verbs are \(verbs.joined(separator: ", "))"
        guard words.count > 1 else {
            throw ShellError(.usage, "\(path): which verb? \(choices)")
        }
        let verb = words[1]
        guard verbs.contains(verb) else {
            // `chunkdb VERB PATH` with a slip in the verb.
            if FileManager.default.fileExists(atPath: verb),
                !FileManager.default.fileExists(atPath: path)
            {
                throw ShellError(
                    .usage, "\(path): not a verb; \(choices), as in `chunkdb info \(verb)`")
            }
            throw ShellError(
                .usage, "\(verb): not a verb; \(choices), as in `chunkdb PATH info`")
        }
        // About the program, not about a store.
        let place = Chunkdb.storelessVerbs.contains(verb) ? [] : [path]
        return [verb] + place + words.dropFirst(2)
    }

    /// The store of a session: a path that no verb follows.
    static func sessionPath(_ words: [String], verbs: [String]) -> String? {
        guard let path = path(words, verbs: verbs), words.count == 1 || words[1].hasPrefix("-")
        else { return nil }
        return path
    }

    private static func path(_ words: [String], verbs: [String]) -> String? {
        guard let first = words.first, !first.hasPrefix("-"), !verbs.contains(first),
            first != "help"
        else { return nil }
        return first
    }
}
