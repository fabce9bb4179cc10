import ArgumentParser
import ChunkFormat
import Primitives
import SegmentLog

/// `segments`: the log's segments, what lives in each, and what cleaning would return.
struct SegmentsVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "segments",
        abstract: "A map of the log: living, dead and unwritten bytes of each segment.",
        usage: "chunkdb PATH segments [--json]")

    @OptionGroup var store: StoreArguments

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        let map = try SegmentMap(view, on: console)
        let report = SegmentsReport(
            path: view.path, map, freeFiles: view.inspection.freeSegments.map(\.file))
        if store.json {
            console.print(json: report)
        } else {
            report.print(map, on: console)
        }
        view.warnOfDamage(on: console)
        return .fine
    }
}

/// The schema of `segments --json`.
struct SegmentsReport: Encodable {
    struct Segment: Encodable {
        var file: String
        /// Uses are numbered through the store's life.
        var useSequence: UInt64
        var createdSeconds: UInt64
        /// How large it may grow.
        var segmentBytes: UInt64
        /// Up to the last byte in use.
        var usedBytes: UInt64
        /// Records of living variants, headers and padding included.
        var liveBytes: UInt64
        /// Used and not living: what cleaning would return.
        var deadBytes: UInt64
        var liveRecordCount: Int
    }

    var verb = "segments"
    var path: String
    var usedBytes: UInt64
    var liveBytes: UInt64
    var deadBytes: UInt64
    /// Living variants of which a header does not open; its bytes count as dead.
    var damagedVariantCount: Int
    /// Files whose last use has ended: they are used again in place.
    var freeFiles: [String]
    /// Oldest use first.
    var segments: [Segment]

    init(path: String, _ map: SegmentMap, freeFiles: [String]) {
        self.path = path
        self.freeFiles = freeFiles
        segments = map.segments.map {
            Segment(
                file: $0.file, useSequence: $0.useSequence, createdSeconds: $0.createdSeconds,
                segmentBytes: $0.segmentBytes, usedBytes: $0.usedBytes, liveBytes: $0.liveBytes,
                deadBytes: $0.deadBytes, liveRecordCount: $0.recordCount)
        }
        usedBytes = segments.reduce(0) { $0 &+ $1.usedBytes }
        liveBytes = segments.reduce(0) { $0 &+ $1.liveBytes }
        deadBytes = segments.reduce(0) { $0 &+ $1.deadBytes }
        damagedVariantCount = map.damagedVariantCount
    }

    private static let mapColumns = 32

    func print(_ map: SegmentMap, on console: Console) {
        var table = Table([
            ("SEGMENT", .left), ("USE", .right), ("USED", .right), ("LIVE", .right),
            ("DEAD", .right), ("RECORDS", .right), ("MAP", .left),
        ])
        for segment in map.segments {
            let drawing = segment.pieces(Self.mapColumns).map { piece -> Character in
                // Of what is written in it: a young segment of a large store shows its first bytes.
                if piece.used == 0 { return "·" }
                switch piece.live / piece.used {
                case 0.75...: return "█"
                case 0.25...: return "▓"
                default: return "░"
                }
            }
            table.add([
                segment.file, "\(segment.useSequence)", "\(ByteCount(segment.usedBytes))",
                "\(ByteCount(segment.liveBytes))", "\(ByteCount(segment.deadBytes))",
                "\(segment.recordCount)", String(drawing),
            ])
        }
        if !table.isEmpty { table.print(on: console) }
        let share =
            usedBytes == 0 ? 0 : Int((Double(deadBytes) / Double(usedBytes) * 100).rounded())
        let all =
            "\(counted(segments.count, "segment")), \(ByteCount(usedBytes)) used, "
            + "\(ByteCount(liveBytes)) living, \(ByteCount(deadBytes)) dead (\(share) %), "
            + "\(freeFiles.count) free"
        console.print(console.painted(all, .dim))
        console.print(
            console.painted("█ living  ▓ partly  ░ dead, header, slots  · unwritten", .dim))
    }
}
