// Where the living bytes stand: every record of every living variant, found by opening its headers,
// laid over the segments. What is used and not living is dead: removed, given up, second copies.

import ChunkFormat
import Primitives
import SegmentLog

struct SegmentMap {
    struct Segment {
        let file: String
        let useSequence: UInt64
        let createdSeconds: UInt64
        let segmentBytes: UInt64
        /// From the header to the last byte that a commit or the checkpoint names.
        let usedBytes: UInt64
        fileprivate(set) var liveBytes: UInt64 = 0
        fileprivate(set) var recordCount = 0
        fileprivate var live: [Range<UInt64>] = []

        /// Header and commit slots at its begin, which live as long as the segment does, are dead
        /// bytes here as well: cleaning would return them.
        var deadBytes: UInt64 { usedBytes - min(liveBytes, usedBytes) }

        /// How much of each of `count` equal pieces of the segment is living, and how much is used.
        func pieces(_ count: Int) -> [(live: Double, used: Double)] {
            let size = max(segmentBytes / UInt64(count), 1)
            return (0..<UInt64(count)).map { index in
                let piece = index * size..<(index + 1) * size
                let living = live.reduce(UInt64(0)) { $0 + overlap($1, piece) }
                let used = overlap(0..<usedBytes, piece)
                return (Double(living) / Double(size), Double(used) / Double(size))
            }
        }

        private func overlap(_ one: Range<UInt64>, _ two: Range<UInt64>) -> UInt64 {
            let both = one.clamped(to: two)
            return both.isEmpty ? 0 : both.upperBound - both.lowerBound
        }
    }

    private(set) var segments: [Segment]
    /// Planes of living variants as stored, without padding.
    private(set) var planeBytes: UInt64 = 0
    /// Living variants of which not every header opens: their bytes count as dead.
    private(set) var damagedVariantCount = 0

    /// *Complexity:* one read a living record.
    /// *Throws:* `.interrupted`.
    init(_ view: StoreView, on console: Console) throws(ShellError) {
        segments = view.inspection.segments.map { handle, usedBytes in
            Segment(
                file: handle.fileName, useSequence: handle.header.useSequence,
                createdSeconds: handle.header.createdSeconds,
                segmentBytes: handle.header.segmentBytes, usedBytes: usedBytes)
        }.sorted { $0.useSequence < $1.useSequence }
        let places = Dictionary(
            segments.enumerated().map { ($0.element.file, $0.offset) }, uniquingKeysWith: { $1 })
        let entries = view.listing.entries.sorted {
            ($0.location.segment, $0.location.offset) < ($1.location.segment, $1.location.offset)
        }
        var progress = Progress("mapping", total: UInt64(entries.count), on: console)
        for (index, entry) in entries.enumerated() {
            try Interruption.check()
            let stored = CallerThread.wait { await view.open(entry) }
            if !stored.damages.isEmpty { damagedVariantCount += 1 }
            for record in stored.records {
                let file = StoreFiles.segment(record.location.segment)
                guard let place = places[file] else { continue }
                let range =
                    record.location.offset..<record.location.offset
                    + record.header.prefix.recordBytes
                segments[place].live.append(range)
                segments[place].liveBytes += record.header.prefix.recordBytes
                segments[place].recordCount += 1
                planeBytes += record.header.extents.reduce(0) { $0 + $1.storedBytes }
            }
            progress.update(done: UInt64(index + 1))
        }
        progress.finish()
    }
}
