// What README.md and the documentation say is held by something: examples by tests that run the
// same lines, figures by the page of measurements, links by what they lead to.

import Foundation
import Testing

@Suite("The README")
struct ReadmeTests {
    static let catalogue = "Sources/ChunkDB/ChunkDB.docc"

    private func text(_ path: String) throws -> String {
        try String(contentsOf: House.root.appending(path: path), encoding: .utf8)
    }

    /// Lines without what all of them are indented by.
    private func dedented(_ lines: some Sequence<Substring>) -> [String] {
        let lines = lines.map(String.init)
        let indents = lines.filter { !$0.isEmpty }.map { $0.prefix { $0 == " " }.count }
        return lines.map { String($0.dropFirst(indents.min() ?? 0)) }
    }

    /// By name, the lines between `// example:NAME` and `// end of example` in tests.
    private func tested() -> [String: [String]] {
        var found: [String: [String]] = [:]
        for file in House.files("Tests") where file.path.hasSuffix("/ExampleTests.swift") {
            var name: String?
            var lines: [Substring] = []
            for line in file.lines {
                let words = line.drop { $0 == " " }
                if words.hasPrefix("// example:") {
                    (name, lines) = (String(words.dropFirst("// example:".count)), [])
                } else if words == "// end of example", let known = name {
                    found[known] = dedented(lines)
                    name = nil
                } else if name != nil {
                    lines.append(line)
                }
            }
        }
        return found
    }

    @Test("and the catalogue show no code that a test does not run")
    func examples() throws {
        let tested = tested()
        var shown: Set<String> = []
        for page in House.files(Self.catalogue, suffixes: [".md"]).map(\.path) + ["README.md"] {
            let parts = try text(page).components(separatedBy: "```swift\n")
            for (before, block) in zip(parts, parts.dropFirst()) {
                let mark = before.split(separator: "\n").last ?? ""
                let match = try #require(
                    mark.wholeMatch(of: /<!-- example:([a-z]+) -->/), "\(page): \(block)")
                let name = String(match.1)
                let lines = block.components(separatedBy: "\n```")[0]
                    .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
                #expect(lines == tested[name], "\(page), example \(name)")
                shown.insert(name)
            }
        }
        #expect(shown == Set(tested.keys), "an example that no page shows")
        #expect(shown.contains("first"))
    }

    @Test("has no figure in its tables of figures that Measured.md has not")
    func figures() throws {
        let measured = try text("Benchmarks/Measured.md")
        let tables = try text("README.md").components(separatedBy: "<!-- figures -->\n").dropFirst()
        #expect(tables.count == 2)
        var count = 0
        for table in tables {
            let rows = table.components(separatedBy: "\n\n")[0].split(separator: "\n").dropFirst(2)
            for row in rows {
                // The first cell names the row.
                for cell in row.split(separator: "|").dropFirst() {
                    for figure in cell.matches(of: /[0-9][0-9,.]*[0-9](×| %)?/) {
                        count += 1
                        let isThere = measured.contains(figure.output.0)
                        #expect(isThere, "\(figure.output.0): \(row)")
                    }
                }
            }
        }
        #expect(count > 40)
    }

    @Test("and the pages it leads to have no dead link")
    func links() throws {
        let pages =
            ["README.md", "Tests/README.md", "format-spec/README.md"]
            + ["Benchmarks/README.md", "Benchmarks/Measured.md", "Benchmarks/quality/README.md"]
            + ["Sources/chunkdb/README.md"]
        for page in pages {
            let folder = House.root.appending(path: page).deletingLastPathComponent()
            for link in try text(page).matches(of: /\]\(([^)# ]*)(?:#([^) ]+))?\)/) {
                let path = String(link.output.1)
                guard !path.contains("://") else { continue }
                let target =
                    path.isEmpty
                    ? House.root.appending(path: page) : folder.appending(path: path)
                #expect(
                    FileManager.default.fileExists(atPath: target.path), "\(page): \(path)")
                guard let anchor = link.output.2 else { continue }
                let titles = try String(contentsOf: target, encoding: .utf8).split(separator: "\n")
                    .filter { $0.hasPrefix("#") }
                    .map {
                        $0.drop { $0 == "#" || $0 == " " }.lowercased().replacing(" ", with: "-")
                    }
                #expect(titles.contains(String(anchor)), "\(page): \(path)#\(anchor)")
            }
        }
    }
}
