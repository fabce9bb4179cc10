// What the heat table of the last checkpoint says of an entry: how often it was used, when last,
// and its score under the policy of then. What a running process counts since is not in it.

import BlockIO
import ChunkFormat
import Primitives
import SegmentLog

/// Part of the schema of every verb that tells how entries are used.
struct Usage: Encodable {
    var useCount: UInt32
    /// By the wall clock; absent when it was never used.
    var lastUseSeconds: UInt64?
    /// Absent when it is not a number.
    var score: Double?
    /// What reusing it cost last; 0 when nobody said.
    var lastFixCost: Double?

    /// Uses, last use and score, for tables.
    static func cells(_ usage: Usage?) -> [String] {
        [
            usage.map { "\($0.useCount)" } ?? "?",
            usage?.lastUseSeconds.map { timeText($0) } ?? "never",
            usage?.score.map { "\(Float($0))" } ?? "?",
        ]
    }
}

extension StoreView {
    /// `nil` for an entry that is newer than the last checkpoint, or whose heat was lost.
    func usage(of entry: CheckpointEntry) -> Usage? {
        let heat = inspection.contents.heat
        guard Int64(entry.ordinal) < Int64(heat.count) else { return nil }
        let row = heat[Int(entry.ordinal)]
        return Usage(
            useCount: row.useCount,
            lastUseSeconds: row.useCount == 0
                ? nil : superblock.createdSeconds &+ UInt64(row.lastUseSeconds),
            score: row.score.finite, lastFixCost: row.lastFixCost.finite)
    }

    /// The heat file itself; `nil` when there is none, or it does not open.
    func heatFile() -> HeatFile? {
        let disk = disk
        let superblock = superblock
        return CallerThread.wait {
            guard let file = try? await disk.open(StoreFiles.heat, .read) else { return nil }
            var heat: HeatFile?
            if let count = try? await disk.byteCount(of: file), count <= 1 << 32,
                let bytes = try? await disk.readBytes(file, at: 0, byteCount: Int(count))
            {
                heat = try? HeatFile(
                    decoding: bytes, storeID: superblock.storeID,
                    key: HeatFile.sealKey(secret: superblock.secret))
            }
            await disk.close(file)
            return heat
        }
    }
}
