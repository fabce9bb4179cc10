import ArgumentParser
import BlockIO
import ChunkFormat
import KVModel
import Primitives
import SegmentLog

/// `info`: what store this is, what it holds, how it is read, and what reading found.
struct InfoVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "info",
        abstract: "The store at a glance: identity, space, namespaces, health.",
        usage: "chunkdb PATH info [--json] [--buffered]")

    @OptionGroup var store: StoreArguments

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        let report = InfoReport(view)
        if store.json {
            console.print(json: report)
        } else {
            report.print(on: console)
        }
        return report.recovery.damages.isEmpty ? .fine : .damageFound
    }
}

/// The schema of `info --json`.
struct InfoReport: Encodable {
    struct Namespace: Encodable {
        var id: UInt32
        var name: String
        var chunkCount: Int
        var variantCount: Int
        /// On disk, headers and padding included.
        var diskBytes: UInt64
        /// Absent when no description of the namespace survived.
        var model: ModelFacts?
    }
    struct Segment: Encodable {
        var file: String
        /// The place of this use in the order of all segment uses.
        var useSequence: UInt64
        var createdSeconds: UInt64
        /// Up to the end of the last record that a commit names.
        var usedBytes: UInt64
    }
    struct Commits: Encodable {
        /// The number of the newest commit that counts.
        var last: UInt64
        /// Up to which the log is known to be durable.
        var synced: UInt64
    }
    struct InputOutput: Encodable {
        /// `io_uring` or `threads`.
        var engine: String
        var isDirect: Bool
        var hasRegisteredBuffers: Bool
        var alignmentBytes: Int
        /// Why a better way was not taken.
        var notes: [String]
    }
    struct Recovery: Encodable {
        /// Why the checkpoint was not used; absent when it was.
        var checkpointIgnored: String?
        var replayedCommitCount: Int
        /// Records of the torn tail, which nobody was told were durable.
        var droppedRecordCount: Int
        /// Names that are not the store's; left alone.
        var unknownFiles: [String]
        var damages: [DamageFacts]
    }

    var verb = "info"
    var path: String
    var storeID: String
    var formatVersion: Int
    var createdSeconds: UInt64
    var capacityBytes: UInt64
    /// What the store's files occupy on the medium.
    var allocatedBytes: UInt64
    var segmentBytes: UInt64
    var alignmentUnitBytes: UInt32
    var segments: [Segment]
    var namespaces: [Namespace]
    var chunkCount: Int
    var variantCount: Int
    var diskBytes: UInt64
    var commits: Commits
    var io: InputOutput
    /// Whether a process is seen to hold the lock; the picture may be inconsistent then.
    var isOpenElsewhere: Bool
    var recovery: Recovery
}

/// A model binding, as far as people ask.
struct ModelFacts: Encodable {
    var name: String
    var layerCount: Int
    /// `[key-value heads × dimension]` of every layer, neighbours of equal shape taken together.
    var layers: [Shape]
    /// `f32`, `f16`, `bf16`, `i8`, `f8e4m3`.
    var elementType: String
    /// `beforeRotation` or `afterRotation`.
    var keyForm: String
    var rotaryBase: Double?
    var rotaryDimension: Int
    var tensorParallelRank: Int
    var tensorParallelSize: Int
    /// What keys and records are bound to.
    var bindingDigest: String
    var weightsDigest: String

    struct Shape: Encodable, Equatable {
        var layerCount: Int
        var kvHeadCount: Int
        var headDimension: Int
        /// Absent when a query sees all tokens.
        var windowTokenCount: Int?
    }

    init(_ binding: ModelBinding) {
        name = binding.name
        layerCount = binding.layerCount
        layers = []
        elementType = "\(binding.elementType)"
        keyForm = "\(binding.keyForm)"
        rotaryBase = binding.rotary.base.finite
        rotaryDimension = binding.rotary.dimension
        tensorParallelRank = binding.tensorParallelRank
        tensorParallelSize = binding.tensorParallelSize
        bindingDigest = hexadecimal(binding.digest)
        weightsDigest = hexadecimal(binding.weightsDigest)
        for layer in binding.layers {
            var shape = Shape(
                layerCount: 1, kvHeadCount: layer.kvHeadCount, headDimension: layer.headDimension,
                windowTokenCount: layer.windowTokenCount)
            if let last = layers.last {
                shape.layerCount = last.layerCount
                if shape == last {
                    layers[layers.count - 1].layerCount += 1
                    continue
                }
                shape.layerCount = 1
            }
            layers.append(shape)
        }
    }

    /// For people, for example `2 × 128`; `4 × 64, 2 × 64 …` where layers differ.
    var shapeText: String {
        let shown = layers.prefix(2).map { "\($0.kvHeadCount) × \($0.headDimension)" }
        return shown.joined(separator: ", ") + (layers.count > 2 ? " …" : "")
    }
}
