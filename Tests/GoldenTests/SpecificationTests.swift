import Foundation
import Testing

@testable import ChunkFormat

/// One layout's table in format-spec.
struct SpecificationTable {
    struct Row: Equatable {
        var offset: Int
        var width: Int
        var type: String
        var name: String
        var checkedBy: String
    }
    var name: String
    var byteCount: Int
    var rows: [Row]

    /// All tables of a document: a bold line `Layout `name`, n bytes`, then rows.
    static func parse(_ text: String) -> [SpecificationTable] {
        var tables: [SpecificationTable] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if let match = line.wholeMatch(of: /\*\*Layout `(\w+)`, ([\d,]+) bytes\*\*/) {
                tables.append(
                    SpecificationTable(
                        name: String(match.1),
                        byteCount: Int(match.2.replacing(",", with: ""))!, rows: []))
            }
            let cells = line.split(separator: "|", omittingEmptySubsequences: false)
                .dropFirst().dropLast().map { $0.trimmingCharacters(in: .whitespaces) }
            // Seven columns, the first two of them numbers; stream tables have five.
            guard cells.count == 7, let offset = Int(cells[0]), let width = Int(cells[1]) else {
                continue
            }
            tables[tables.count - 1].rows.append(
                Row(
                    offset: offset, width: width, type: cells[2], name: cells[3],
                    checkedBy: cells[5]))
        }
        return tables
    }

    /// Rows with `struct` replaced by the fields of the structure named.
    func expanded() throws -> [Row] {
        try rows.flatMap { row -> [Row] in
            guard row.type == "struct" else { return [row] }
            let inner = try #require(AllLayouts.named(row.name))
            #expect(row.width == inner.byteCount)
            return inner.fields.map {
                Row(
                    offset: row.offset + $0.offset, width: $0.type.byteCount, type: $0.type.name,
                    name: $0.name, checkedBy: "")
            }
        }
    }
}

@Suite struct SpecificationTests {
    static func document(_ name: String) throws -> String {
        try String(
            contentsOf: GoldenFiles.formatSpec.appendingPathComponent(name), encoding: .utf8)
    }
    static let documents = AllLayouts.byDocument.map(\.document)

    @Test("a document has the tables of its layouts, and no others", arguments: documents)
    func sameLayouts(_ name: String) throws {
        let layouts = AllLayouts.byDocument.first { $0.document == name }!.layouts
        let tables = SpecificationTable.parse(try Self.document(name))
        #expect(tables.map(\.name) == layouts.map(\.name))
        for (table, layout) in zip(tables, layouts) {
            #expect(table.byteCount == layout.byteCount, "\(layout.name)")
            let rows = try table.expanded()
            #expect(rows.map(\.name) == layout.fields.map(\.name), "\(layout.name)")
            for (row, field) in zip(rows, layout.fields) {
                let place = "\(layout.name).\(field.name)"
                #expect(row.offset == field.offset, "\(place)")
                #expect(row.width == field.type.byteCount, "\(place)")
                #expect(row.type == field.type.name, "\(place)")
            }
        }
    }

    @Test("no layout has a gap, an overlap or a name twice")
    func layoutsTile() {
        for layout in AllLayouts.all {
            var end = 0
            for field in layout.fields {
                #expect(field.offset == end, "\(layout.name).\(field.name)")
                end += field.type.byteCount
            }
            #expect(end == layout.byteCount, "\(layout.name)")
            #expect(Set(layout.fields.map(\.name)).count == layout.fields.count)
        }
        #expect(Set(AllLayouts.all.map(\.name)).count == AllLayouts.all.count)
    }

    @Test("FMT-11 blocks are 4,096 bytes, rows tile what holds them")
    func sizes() {
        for name in [
            "superblock", "markBlock", "segmentHeader", "journalHeader", "checkpointHeader",
            "heatHeader",
        ] {
            #expect(AllLayouts.named(name)?.byteCount == 4_096, "\(name)")
        }
        #expect(AllLayouts.named("payloadHeader")?.byteCount == 256)
        #expect(CommitRecord.memberCapacity(unit: 4_096) == 82)
        #expect(TombstoneRecord.capacity(unit: 4_096) == 62)
        #expect(JournalBlock.entryBytesMax == 4_048)
    }
}
