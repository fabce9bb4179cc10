// What stands where, and what it is worth: three walks of the indexes, beside the service, that
// hold little however many entries there are.
//
//  1  `Ranks`: a sample of all worths, sorted. From now on a worth is its rank: 0 for the least, 1
//     for the most. So policies need not agree on units, and losses can be added up.
//  2  `SegmentWorth`: of each segment, its living bytes by rank.
//  3  the entries of the segments that were chosen.

import ChunkFormat
import Primitives
import Retention

/// An entry, and what it is worth to its namespace's policy.
struct WeighedEntry {
    let entry: CheckpointEntry
    let worth: Double
    let namespace: Namespace
}

/// Ranks of worths among all that one policy judges.
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

    /// The worth that has this rank.
    func worth(atRank rank: Double) -> Double {
        let place = Int(rank * Double(sorted.count))
        return place < sorted.count ? sorted[place] : .infinity
    }
}

/// Ranks under each policy.
struct Ranks {
    private let byPolicy: [String: Worths]

    init(_ samples: [String: [Double]]) { byPolicy = samples.mapValues { Worths($0) } }

    func rank(_ weighed: WeighedEntry) -> Double {
        byPolicy[weighed.namespace.policy.name]?.rank(weighed.worth) ?? 0
    }

    func worth(atRank rank: Double, in namespace: Namespace) -> Double {
        byPolicy[namespace.policy.name]?.worth(atRank: rank) ?? .infinity
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
    private func forEachEntry(of owner: Namespace?, _ body: (CheckpointEntry) -> Void) async {
        var last: CheckpointEntry?
        while true {
            let piece = entries(after: last, limit: Self.entriesPerStep, of: owner)
            for entry in piece { body(entry) }
            guard let end = piece.last else { return }
            last = end
            await Task.yield()
        }
    }

    /// Well below a millisecond of the thread that serves commits.
    private static var entriesPerStep: Int { 2_048 }

    /// All committed entries, or those of one namespace, with what each is worth. Of a chunk's
    /// variants all but the worthiest are surplus (FUSION.md).
    func forEachWorth(of owner: Namespace? = nil, _ body: (WeighedEntry) -> Void) async {
        var variants: [CheckpointEntry] = []
        await forEachEntry(of: owner) { entry in
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

    private func weigh(_ variants: [CheckpointEntry], _ body: (WeighedEntry) -> Void) {
        guard let first = variants.first, let namespace = namespace(first.namespace) else { return }
        let worths = variants.map { namespace.worth(of: $0, isSurplus: false) }
        let best = worths.indices.max { worths[$0] < worths[$1] }
        for (place, variant) in variants.enumerated() {
            let worth =
                place == best
                ? worths[place] : namespace.worth(of: variant, isSurplus: true)
            body(WeighedEntry(entry: variant, worth: worth, namespace: namespace))
        }
    }

    /// The ranks of all entries, from a sample.
    func ranks() async -> Ranks {
        let step = allNamespaces.reduce(0) { $0 + $1.entryCount } / Worths.sampleCountMax + 1
        var samples: [String: [Double]] = [:]
        var number = 0
        await forEachWorth { weighed in
            if number.isMultiple(of: step) {
                samples[weighed.namespace.policy.name, default: []].append(weighed.worth)
            }
            number += 1
        }
        return Ranks(samples)
    }
}
