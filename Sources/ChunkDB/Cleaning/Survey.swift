// What stands where, and what it is worth: three walks of the indexes, beside the service, that
// hold little however many entries there are.
//
//  1  `Worths`: a sample of all worths, sorted. From now on a worth is its rank: 0 for the least, 1
//     for the most. So policies need not agree on units, and losses can be added up.
//  2  `SegmentWorth`: of each segment, its living bytes by rank.
//  3  the entries of the segments that were chosen.

import ChunkFormat
import Primitives

/// Ranks of worths among all that is stored.
struct Worths {
    private let sorted: [Double]

    static let sampleCountMax = 65_536

    init(_ sample: [Double]) { sorted = sample.sorted() }

    /// The share of entries that are worth less: 0 to 1.
    func rank(_ worth: Double) -> Double {
        var (low, high) = (0, sorted.count)
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < worth { low = middle + 1 } else { high = middle }
        }
        return sorted.isEmpty ? 0 : Double(low) / Double(sorted.count)
    }
}

extension Worths {
    /// The worth that has this rank.
    func worth(atRank rank: Double) -> Double {
        let place = Int(rank * Double(sorted.count))
        return place < sorted.count ? sorted[place] : .infinity
    }
}

/// The living bytes of one segment, by what they are worth.
struct SegmentWorth {
    static let binCount = 32
    private static let variantBytesMax: UInt64 = 1 << 44
    private(set) var bytesByRank = [UInt64](repeating: 0, count: binCount)
    private(set) var pinnedBytes: UInt64 = 0

    mutating func add(_ entry: CheckpointEntry, rank: Double, isKept: Bool) {
        // A checkpoint may claim any size; the log's are far below.
        let byteCount = min(entry.variantDiskBytes, Self.variantBytesMax)
        if isKept {
            pinnedBytes &+= byteCount
        } else {
            let bin = min(Int(rank * Double(Self.binCount)), Self.binCount - 1)
            bytesByRank[bin] &+= byteCount
        }
    }

    /// What freeing the segment takes.
    struct Cost: Equatable {
        /// Pinned bytes, and those of the highest ranks, that are copied.
        var movedBytes: UInt64
        /// Ranks of the forgotten bytes, added up.
        var loss: Double
        /// What has at least this rank is copied.
        var keptRank: Double
    }

    /// - Parameter movable: bytes that may be copied beside the pinned ones.
    /// - Parameter rankMin: what is worth less than that share of everything is not worth a copy.
    func cost(movable: UInt64, rankMin: Double) -> Cost {
        var cost = Cost(movedBytes: pinnedBytes, loss: 0, keptRank: 1)
        var isKeeping = true
        for bin in bytesByRank.indices.reversed() {
            let rank = Double(bin) / Double(Self.binCount)
            let moved = cost.movedBytes &- pinnedBytes &+ bytesByRank[bin]
            if isKeeping && rank >= rankMin && moved <= movable {
                cost.movedBytes &+= bytesByRank[bin]
                cost.keptRank = rank
            } else {
                isKeeping = false
                // At least something: of two that are worth nothing the shorter way counts.
                cost.loss += (rank + 1 / Double(2 * Self.binCount)) * Double(bytesByRank[bin])
            }
        }
        return cost
    }
}

extension StoreCore {
    /// All entries that are committed, namespace by namespace, while others go on changing them.
    func forEachEntry(_ body: (CheckpointEntry) -> Void) async {
        var last: CheckpointEntry?
        while true {
            let piece = entries(after: last, limit: Self.entriesPerStep)
            for entry in piece { body(entry) }
            guard let end = piece.last else { return }
            last = end
            await Task.yield()
        }
    }

    /// Well below a millisecond of the thread that serves commits.
    private static var entriesPerStep: Int { 2_048 }

    /// As `forEachEntry`, with what each is worth. Of a chunk's variants all but the worthiest are
    /// surplus (FUSION.md).
    func forEachWorth(_ body: (CheckpointEntry, Double) -> Void) async {
        var variants: [CheckpointEntry] = []
        await forEachEntry { entry in
            if let first = variants.first,
                first.key != entry.key || first.namespace != entry.namespace
            {
                weigh(variants, body)
                variants.removeAll(keepingCapacity: true)
            }
            variants.append(entry)
        }
        weigh(variants, body)
    }

    private func weigh(_ variants: [CheckpointEntry], _ body: (CheckpointEntry, Double) -> Void) {
        guard let first = variants.first, let namespace = namespace(first.namespace) else { return }
        let worths = variants.map { namespace.worth(of: $0, isSurplus: false) }
        let best = worths.indices.max { worths[$0] < worths[$1] }
        for (place, variant) in variants.enumerated() {
            let worth =
                place == best
                ? worths[place] : namespace.worth(of: variant, isSurplus: true)
            body(variant, worth)
        }
    }
}
