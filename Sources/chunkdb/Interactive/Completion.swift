// What Tab offers: verbs, then their options, names of namespaces after `--namespace`, and the
// beginnings of keys where a key is wanted. Everything is quoted as `LineWords` reads it, so that
// a name in the store cannot command the terminal from here either.

import ArgumentParser
import ChunkFormat
import Foundation
import Primitives

struct Completion {
    /// What the argument parser knows of a verb.
    struct Verb: Equatable {
        var name: String
        var options: [String]
        /// Those that a value follows.
        var valued: Set<String>
        var takesKey: Bool

        /// Whether words after the verb hold one that is neither an option nor an option's value,
        /// or the next one will be such a value.
        func hasArgument(_ words: [String]) -> Bool {
            var isValue = false
            for word in words.dropFirst() {
                if !isValue, !word.hasPrefix("-") { return true }
                isValue = !isValue && valued.contains(word)
            }
            return isValue
        }
    }

    /// Beyond this many keys, Tab offers the next digit instead of whole beginnings.
    static let keyCountMax = 64
    /// Words of the session itself.
    static let ownWords = ["help", "quit"]

    let verbs: [Verb]

    init(verbs: [Verb]) { self.verbs = verbs }

    /// The verbs of the shell, from the parser's own description of them.
    init() {
        struct Tool: Decodable {
            struct Command: Decodable {
                struct Argument: Decodable {
                    struct Name: Decodable {
                        var kind: String
                        var name: String
                    }
                    var kind: String
                    var names: [Name]?
                    var valueName: String?
                    var shouldDisplay: Bool
                }
                var commandName: String
                var subcommands: [Command]?
                var arguments: [Argument]?
            }
            var command: Command
        }
        let description = Data(Chunkdb._dumpHelp().utf8)
        let tool = try? JSONDecoder().decode(Tool.self, from: description)
        verbs = (tool?.command.subcommands ?? []).filter { $0.commandName != "help" }.map { verb in
            let arguments = (verb.arguments ?? []).filter(\.shouldDisplay)
            func names(_ kinds: Set<String>) -> [String] {
                arguments.filter { kinds.contains($0.kind) }.flatMap { $0.names ?? [] }
                    .filter { $0.kind == "long" }.map { "--\($0.name)" }
            }
            return Verb(
                name: verb.commandName, options: names(["flag", "option"]),
                valued: Set(names(["option"])),
                takesKey: arguments.contains { $0.kind == "positional" && $0.valueName == "key" })
        }
    }

    /// Words that may stand where `text` does.
    /// - Parameters:
    ///   - before: the line up to the word under the cursor.
    ///   - text: that word so far, quotes included.
    ///   - listing: what is in the store; asked for only where it matters.
    func candidates(before: String, text: String, listing: () -> Listing?) -> [String] {
        guard let words = try? LineWords.split(before) else { return [] }
        guard let first = words.first else {
            return (verbs.map(\.name) + Self.ownWords).filter { $0.hasPrefix(text) }
        }
        if first == "help" {
            return words.count == 1 ? verbs.map(\.name).filter { $0.hasPrefix(text) } : []
        }
        guard let verb = verbs.first(where: { $0.name == first }) else { return [] }
        if words.last == "--namespace" {
            let names = listing()?.namespaces.map { LineWords.quoted($0.name) } ?? []
            return Array(Set(names)).sorted().filter { $0.hasPrefix(text) }
        }
        if words.last == "--prefix" { return listing().map { keys($0, text) } ?? [] }
        if text.hasPrefix("-") { return verb.options.filter { $0.hasPrefix(text) } }
        guard verb.takesKey, !verb.hasArgument(words) else { return [] }
        return listing().map { keys($0, text) } ?? []
    }

    /// The shortest beginnings that tell the keys apart, where there are few; else the same with
    /// one digit more than was typed.
    private func keys(_ listing: Listing, _ text: String) -> [String] {
        let typed = text.lowercased()
        let found: [String]
        if typed.isEmpty {
            found = Set(listing.entries.map(\.key)).map(\.description)
        } else {
            guard let prefix = KeyPrefix(argument: typed) else { return [] }
            found = Set(listing.entries(prefix: prefix).map(\.key)).map(\.description)
        }
        if found.count <= Self.keyCountMax {
            let digits = LsReport.distinguishingDigits(found)
            return found.map { String($0.prefix(max(digits, typed.utf8.count))) }.sorted()
        }
        return Set(found.map { String($0.prefix(typed.utf8.count + 1)) }).sorted()
    }
}
