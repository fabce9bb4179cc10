import ArgumentParser
import ChunkFormat
import KVModel
import Primitives
import SegmentLog

/// `find KEY`: every copy of a chunk and every tombstone of it that the log still has.
struct FindVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "find",
        abstract: "All copies and tombstones of a chunk in the log, living or not.",
        usage: "chunkdb PATH find KEY [--namespace NAME] [--variant HEX] [--json]",
        discussion: """
            Walks the commits of every segment in use and opens what they name, so it also finds \
            what the index has forgotten. Removals that only the journal still knows, and what is \
            left in freed segments, are not listed.
            """)

    @OptionGroup var store: StoreArguments
    @OptionGroup var chunk: ChunkArguments

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        let namespaces = try view.listing.namespaceIDs(chunk.namespace)
        let range = chunk.key.lowest...chunk.key.highest
        func isWanted(_ namespace: NamespaceID, _ key: ChunkKey) -> Bool {
            range.contains(key) && namespaces?.contains(namespace) ?? true
        }
        let living = Set(view.listing.entries.map { Living($0) })
        var report = FindReport(path: view.path, prefix: "\(chunk.key)")
        try view.forEachLoggedRecord(on: console) { record in
            switch record.content {
            case .payload(let payload) where isWanted(payload.namespace, payload.key):
                if let variant = chunk.variant, variant != payload.variant { return }
                report.copies.append(
                    .init(
                        payload, record, namespace: view.listing.name(of: payload.namespace),
                        isLiving: payload.recordIndex == 0 && living.contains(Living(payload))))
            case .tombstones(let tombstones):
                for tombstone in tombstones where isWanted(tombstone.namespace, tombstone.key) {
                    if let variant = chunk.variant, variant != tombstone.variant ?? variant {
                        continue
                    }
                    report.tombstones.append(
                        .init(
                            tombstone, record,
                            namespace: view.listing.name(of: tombstone.namespace)))
                }
            case nil where record.member.kind == RecordKind.payload.rawValue:
                if !record.member.isAbandoned { report.unreadableRecordCount += 1 }
            default: break
            }
        }
        report.finish()
        if store.json { console.print(json: report) } else { report.print(on: console) }
        view.warnOfDamage(on: console)
        return report.copies.isEmpty && report.tombstones.isEmpty ? .notFound : .fine
    }
}

/// Which record is the first of a variant that is stored now.
private struct Living: Hashable {
    let namespace: NamespaceID
    let key: ChunkKey
    let variant: VariantID
    let location: RecordLocation

    init(_ entry: CheckpointEntry) {
        (namespace, key, variant, location) =
            (entry.namespace, entry.key, entry.variant, entry.location)
    }

    init(_ record: PayloadRecord) {
        (namespace, key, variant, location) =
            (record.namespace, record.key, record.variant, record.prefix.location)
    }
}

/// The schema of `find --json`.
struct FindReport: Encodable {
    struct Copy: Encodable {
        var commit: UInt64
        var writeSequence: UInt64
        var key: String
        var variant: String
        var namespace: String
        var file: String
        var offset: UInt64
        var recordBytes: UInt64
        /// Which record of the variant, from 0.
        var recordIndex: UInt16
        var createdSeconds: UInt64
        /// `living`; `part` of a living variant; `dead`: removed, replaced, copied or forgotten;
        /// `abandoned` by its writer.
        var state: String

        fileprivate init(
            _ payload: PayloadRecord, _ record: LoggedRecord, namespace: String, isLiving: Bool
        ) {
            commit = record.commit
            writeSequence = payload.prefix.writeSequence.raw
            key = "\(payload.key)"
            variant = "\(payload.variant)"
            self.namespace = namespace
            file = StoreFiles.segment(payload.prefix.location.segment)
            offset = payload.prefix.location.offset
            recordBytes = payload.prefix.recordBytes
            recordIndex = UInt16(payload.recordIndex)
            createdSeconds = payload.createdSeconds
            state = record.member.isAbandoned ? "abandoned" : isLiving ? "living" : "dead"
            siblings = isLiving ? payload.siblings.map(\.location) : []
            location = payload.prefix.location
        }

        fileprivate let location: RecordLocation
        /// Of a living first record: where the others stand.
        fileprivate let siblings: [RecordLocation]

        enum CodingKeys: CodingKey {
            case commit, writeSequence, key, variant, namespace, file, offset, recordBytes
            case recordIndex, createdSeconds, state
        }
    }

    struct Grave: Encodable {
        var commit: UInt64
        var key: String
        /// Absent: all variants.
        var variant: String?
        var namespace: String
        var file: String
        var offset: UInt64

        fileprivate init(_ tombstone: Tombstone, _ record: LoggedRecord, namespace: String) {
            commit = record.commit
            key = "\(tombstone.key)"
            variant = tombstone.variant.map { "\($0)" }
            self.namespace = namespace
            file = StoreFiles.segment(record.member.location.segment)
            offset = record.member.location.offset
        }
    }

    var verb = "find"
    var path: String
    var prefix: String
    /// In order of commits, as the tombstones.
    var copies: [Copy] = []
    var tombstones: [Grave] = []
    /// Records that a commit names and that do not open: whose they are nobody can say.
    var unreadableRecordCount = 0

    init(path: String, prefix: String) { (self.path, self.prefix) = (path, prefix) }

    fileprivate mutating func finish() {
        let parts = Set(copies.flatMap(\.siblings))
        for index in copies.indices where parts.contains(copies[index].location) {
            copies[index].state = "part"
        }
        copies.sort { ($0.commit, $0.offset) < ($1.commit, $1.offset) }
        tombstones.sort { ($0.commit, $0.offset, $0.key) < ($1.commit, $1.offset, $1.key) }
    }

    func print(on console: Console) {
        var table = Table([
            ("COMMIT", .right), ("WHAT", .left), ("STATE", .left), ("KEY", .left),
            ("VARIANT", .left), ("NAMESPACE", .left), ("FILE", .left), ("OFFSET", .right),
            ("SIZE", .right),
        ])
        let digits = LsReport.distinguishingDigits(copies.map(\.key) + tombstones.map(\.key))
        var rows: [(commit: UInt64, cells: [String])] = copies.map { copy in
            let what = copy.recordIndex == 0 ? "copy" : "copy, record \(copy.recordIndex)"
            return (
                copy.commit,
                [
                    "\(copy.commit)", what, copy.state, String(copy.key.prefix(digits)),
                    VariantID.word(copy.variant), copy.namespace, copy.file, "\(copy.offset)",
                    "\(ByteCount(copy.recordBytes))",
                ]
            )
        }
        rows += tombstones.map { grave in
            (
                grave.commit,
                [
                    "\(grave.commit)", "tombstone", "", String(grave.key.prefix(digits)),
                    grave.variant.map { VariantID.word($0) } ?? "all", grave.namespace, grave.file,
                    "\(grave.offset)", "",
                ]
            )
        }
        for row in rows.sorted(by: { $0.commit < $1.commit }) { table.add(row.cells) }
        if !table.isEmpty { table.print(on: console) }
        let unreadable =
            unreadableRecordCount == 0
            ? "" : "; \(counted(unreadableRecordCount, "record")) of the log did not open"
        console.print(
            console.painted(
                "\(counted(copies.count, "record")), \(counted(tombstones.count, "tombstone"))"
                    + unreadable, .dim))
    }
}

extension VariantID {
    /// How tables call a variant.
    static func word(_ digits: String) -> String {
        digits == "\(VariantID.standalone)" ? "standalone" : digits
    }
}
