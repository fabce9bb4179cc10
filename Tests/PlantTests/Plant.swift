// A planted bug: which text of which source file becomes which other text, and who must notice.

import Foundation

struct Plant: Sendable {
    /// One change of a source file.
    struct Edit: Sendable {
        var original = ""
        var planted = ""
    }

    let number: Int
    let name: String
    /// Below `Sources`.
    var file = ""
    /// The test that has to notice, as a filter of swift-testing.
    var test = ""
    /// Runs without being asked for.
    var isOrdinary = false
    var edits: [Edit] = []

    var module: String { String(file.prefix { $0 != "/" }) }
}

struct PlantError: Error, CustomStringConvertible {
    let description: String
}

extension Plant {
    static let tableURL = URL(filePath: #filePath)
        .deletingLastPathComponent().appending(path: "plants.txt")
    static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static func all() throws -> [Plant] {
        try parse(String(contentsOf: tableURL, encoding: .utf8))
    }

    /// Reads the table; its form is described at its head.
    static func parse(_ text: String) throws -> [Plant] {
        var plants: [Plant] = []
        // Whether the last line continued an edit, and of which side.
        var side: Character?
        for line in text.split(separator: "\n", omittingEmptySubsequences: true) {
            if line.hasPrefix("#") { continue }
            if line.first?.isNumber == true {
                let (head, name) = halves(line)
                guard let number = Int(head) else { throw PlantError(description: "line: \(line)") }
                plants.append(Plant(number: number, name: name))
                side = nil
                continue
            }
            guard !plants.isEmpty else { throw PlantError(description: "no plant for: \(line)") }
            let last = plants.count - 1
            if let mark = line.first, mark == "-" || mark == "+" {
                if mark == "-" && side != "-" { plants[last].edits.append(Edit()) }
                guard let edit = plants[last].edits.indices.last else {
                    throw PlantError(description: "nothing is replaced by: \(line)")
                }
                let code = line.dropFirst() + "\n"
                if mark == "-" {
                    plants[last].edits[edit].original += code
                } else {
                    plants[last].edits[edit].planted += code
                }
                side = mark
                continue
            }
            side = nil
            let (word, rest) = halves(line.drop { $0 == " " })
            switch word {
            case "in": plants[last].file = rest
            case "by": plants[last].test = rest
            case "ordinary": plants[last].isOrdinary = true
            default: throw PlantError(description: "unknown word: \(line)")
            }
        }
        return plants
    }

    private static func halves(_ line: Substring) -> (String, String) {
        let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
        return (parts.first ?? "", parts.count > 1 ? parts[1] : "")
    }

    // MARK: Planting

    /// `source` with all its plants in, each behind the run-time switch.
    /// *Throws:* when an original does not occur exactly once, or two of them overlap.
    static func plant(_ plants: [Plant], in source: String) throws -> String {
        var changes: [(range: Range<String.Index>, text: String)] = []
        for plant in plants {
            for edit in plant.edits {
                let found = source.ranges(of: try pattern(edit.original))
                guard found.count == 1 else {
                    throw PlantError(
                        description: "plant \(plant.number), \(plant.name): "
                            + "\(found.count) times in \(plant.file):\n\(edit.original)")
                }
                let original = String(source[found[0]])
                changes.append((found[0], plant.switched(original, edit.planted)))
            }
        }
        changes.sort { $0.range.lowerBound < $1.range.lowerBound }
        for (one, next) in zip(changes, changes.dropFirst())
        where one.range.overlaps(next.range) {
            throw PlantError(description: "two plants change one place:\n\(source[next.range])")
        }
        var result = source
        for (range, text) in changes.reversed() { result.replaceSubrange(range, with: text) }
        return result
    }

    /// Line breaks and indentation may differ: a formatter may move them.
    private static func pattern(_ original: String) throws -> Regex<AnyRegexOutput> {
        let words = original.split { $0.isWhitespace }
            .map { NSRegularExpression.escapedPattern(for: String($0)) }
        guard !words.isEmpty else { throw PlantError(description: "an empty original") }
        return try Regex(words.joined(separator: #"\s+"#))
    }

    /// Statements are chosen by an `if`; a replacement that asks for the switch itself, by the word
    /// `PLANTED` for "this bug is wanted", stands as it is.
    private func switched(_ original: String, _ planted: String) -> String {
        let condition = "(plantedBug == \(number))"
        if planted.contains("PLANTED") {
            return planted.trimmingCharacters(in: .newlines)
                .replacing("PLANTED", with: condition)
        }
        return "if \(condition) {\n\(planted)\n} else {\n\(original)\n}"
    }
}
