import Foundation
import Testing

/// Every clause is cited by a test, or stands in `format-spec/unproved.txt`, which is exact. This
/// file itself is no evidence.
@Suite struct ClauseEvidenceTests {
    static let clauses: [(id: String, document: String)] = {
        let folder = GoldenFiles.formatSpec
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { $0.hasSuffix(".md") }.sorted().flatMap { name in
            let file = folder.appendingPathComponent(name)
            let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
            return text.matches(of: #/(?m)^- \*\*([A-Z]{3}-\d+)\*\* /#).map { (String($0.1), name) }
        }
    }()

    static func citations(under folder: URL, except own: String) -> Set<String> {
        var cited: Set<String> = []
        let files = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
        while let file = files?.nextObject() as? URL {
            guard file.pathExtension == "swift", file.lastPathComponent != own,
                let text = try? String(contentsOf: file, encoding: .utf8)
            else { continue }
            cited.formUnion(text.matches(of: /\b[A-Z]{3}-\d+\b/).map { String($0.0) })
        }
        return cited
    }

    @Test("clauses are numbered once")
    func unique() {
        let counts = Dictionary(Self.clauses.map { ($0.id, 1) }, uniquingKeysWith: +)
        #expect(counts.filter { $0.value > 1 }.isEmpty)
        #expect(Self.clauses.count > 120, "the documents were found")
    }

    @Test("every clause has evidence or stands in the ledger")
    func evidence() throws {
        let cited = Self.citations(
            under: GoldenFiles.testsFolder, except: "ClauseEvidenceTests.swift")
        let ledgerFile = GoldenFiles.formatSpec.appendingPathComponent("unproved.txt")
        let ledger = try String(contentsOf: ledgerFile, encoding: .utf8)
            .split(separator: "\n").filter { !$0.hasPrefix("#") }
            .compactMap { $0.split(separator: " ").first.map(String.init) }
        let unproved = Self.clauses.map(\.id).filter { !cited.contains($0) }
        let missing = unproved.filter { !ledger.contains($0) }
        let proved = ledger.filter { !unproved.contains($0) }
        #expect(missing.isEmpty, "without evidence: \(missing.joined(separator: " "))")
        #expect(
            proved.isEmpty,
            "in unproved.txt, though proved or unknown: \(proved.joined(separator: " "))")
        #expect(Set(ledger).count == ledger.count)
    }

    @Test("every clause the code cites is in format-spec")
    func codeCitesKnownClauses() {
        let sources = GoldenFiles.testsFolder.deletingLastPathComponent()
            .appendingPathComponent("Sources")
        let known = Set(Self.clauses.map(\.id))
        let families = Set(known.map { $0.prefix(3) })
        let cited = Self.citations(under: sources, except: "").filter {
            families.contains($0.prefix(3))
        }
        let unknown = cited.subtracting(known).sorted()
        #expect(unknown.isEmpty, "cited and not written: \(unknown.joined(separator: " "))")
        #expect(cited.count > 40)
    }
}
