import ArgumentParser
import ChunkFormat
import KVModel
import Primitives
import SegmentLog

/// `show KEY`: everything the headers of one chunk say; its payload is not read.
struct ShowVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "One chunk: its variants, where their planes stand, what a planner knows.",
        usage: """
            chunkdb PATH show KEY [--namespace NAME] [--variant HEX] [--digests] [--tokens] [--json]
            """)

    @OptionGroup var store: StoreArguments
    @OptionGroup var chunk: ChunkArguments

    @Flag(help: "Every digest slot.")
    var digests = false

    @Flag(help: "The token ids, which are the text in clear, and the scores of each.")
    var tokens = false

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        let entries = try view.listing.variants(of: chunk)
        let stored = CallerThread.wait { () async -> [StoredVariant] in
            var stored: [StoredVariant] = []
            for entry in entries { stored.append(await view.open(entry)) }
            return stored
        }
        let report = ShowReport(
            path: view.path, key: "\(entries[0].key)",
            variants: stored.map {
                ShowReport.Variant(
                    $0, in: view.listing, unit: view.superblock.alignmentUnit,
                    withDigests: digests, withTokens: tokens)
            })
        if store.json {
            console.print(json: report)
        } else {
            report.print(on: console)
        }
        view.warnOfDamage(on: console)
        return report.variants.allSatisfy(\.damages.isEmpty) ? .fine : .damageFound
    }
}

/// The schema of `show --json`.
struct ShowReport: Encodable {
    var verb = "show"
    var path: String
    var key: String
    var variants: [Variant]

    struct Variant: Encodable {
        /// `0000000000000000` is the standalone, raw form.
        var variant: String
        var namespace: String
        var namespaceID: UInt32
        /// Absent when no description of the namespace survived.
        var model: ModelFacts?
        var tokenCount: UInt32
        var diskBytes: UInt64
        var isPinned: Bool
        /// What the first record says; absent when it does not open.
        var identity: Identity?
        var records: [Record]
        /// Of all records that opened, in order.
        var extents: [Extent]
        /// Absent when it does not decode.
        var metadata: Metadata?
        var damages: [DamageFacts]
    }

    struct Identity: Encodable {
        /// `standalone`, `prefixChained` or `callerMade`.
        var hashDomain: String
        var bindingDigest: String
        var elementType: String
        var keyForm: String
        /// Position of the first token when this was computed.
        var basePosition: UInt32
        /// All planes, padding excluded.
        var planeBytes: UInt64
        var createdSeconds: UInt64
        /// Absent for never.
        var expirySeconds: UInt64?
        /// `evictable` or `pinned`.
        var retention: String
    }

    struct Record: Encodable {
        var file: String
        var offset: UInt64
        var headerBytes: UInt32
        var recordBytes: UInt64
        var writeSequence: UInt64
        var layerFirst: UInt16
        var layerCount: UInt16
        var digestBlockBytes: Int
        var digestSlotCount: Int
        var seal: String
        /// XXH3-128 by slot; only with `--digests`.
        var digests: [String]?
    }

    struct Extent: Encodable {
        /// Which of `records`.
        var recordIndex: Int
        var layer: UInt16
        /// `K`, `V`, `X`, `latent`, `codes`, `sidecar TYPE` or `kind N`.
        var kind: String
        /// 0 is raw, 1 byte planes and LZ4.
        var codec: UInt16
        var tokenCount: UInt32
        /// From the segment file's first byte.
        var fileOffset: UInt64
        var storedBytes: UInt64
        var paddedBytes: UInt64
        var rawBytes: UInt64
        var firstDigestSlot: UInt32
        var digestSlotCount: Int
    }

    /// Recompute metadata.
    struct Metadata: Encodable {
        struct Prefix: Encodable {
            var key: String
            var tokenCount: Int
            /// Mean attention paid to it; 0 when it was not captured.
            var interMean: Double?
        }
        struct Impact: Encodable {
            var interMean: Double?
            var intraMean: Double?
        }
        var tokenCount: Int
        var prefix: [Prefix]
        /// Cache-Craft's context impact; absent when it was not captured.
        var contextImpact: Impact?
        var tokenScoreCount: Int
        var deviationCount: Int
        var creationMilliseconds: Double?
        /// What it was computed on; absent when nobody said.
        var deviceClass: String?
        /// The variant this one was repaired from.
        var parent: String?
        /// Keys whose positions are listed; absent when they are consecutive.
        var positionCount: Int?
        /// Layers whose attention sums are kept; absent when none are.
        var capturedLayerCount: Int?
        /// Kinds of sections that this version does not know.
        var unknownSections: [UInt16]?
        /// Only with `--tokens`.
        var tokens: [UInt32]?
        /// Only with `--tokens`, and when captured; `null` for what is not a number.
        var tokenScores: [Double?]?
        var deviations: [Double?]?
    }
}
