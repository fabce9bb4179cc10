// A namespace is made once, for one tenant and one model, and its number is never used again
// (PRODUCT D2, format-spec 06).

import KVModel
import Primitives

public enum NamespaceOperation: Hashable, Sendable {
    case create(NamespaceDescription)
    /// What commits before this one made visible in it is gone.
    case drop(NamespaceID, commit: UInt64)
}

public struct NamespaceDescription: Hashable, Sendable {
    public static let nameBytesMax = 255

    public var id: NamespaceID
    public var name: String
    public var binding: ModelBinding

    public init(id: NamespaceID, name: String, binding: ModelBinding) {
        self.id = id
        self.name = name
        self.binding = binding
    }
}

extension NamespaceOperation {
    public func encode() -> [UInt8] {
        var writer = ByteStreamWriter()
        switch self {
        case .create(let description):
            writer.put(UInt16(1))
            writer.put(description.id.raw)
            writer.put(UInt16(description.name.utf8.count))
            writer.put(Array(description.name.utf8))
            Self.encode(description.binding, to: &writer)
        case .drop(let id, let commit):
            writer.put(UInt16(2))
            writer.put(id.raw)
            writer.put(commit)
        }
        return writer.bytes
    }

    private static func encode(_ binding: ModelBinding, to writer: inout ByteStreamWriter) {
        writer.put(UInt16(binding.name.utf8.count))
        writer.put(Array(binding.name.utf8))
        writer.put(binding.weightsDigest)
        writer.put(binding.elementType.rawValue)
        writer.put(binding.keyForm.rawValue)
        writer.put(binding.rotary.pairing.rawValue)
        writer.put(UInt8(0))
        writer.put(binding.rotary.base)
        writer.put(UInt32(binding.rotary.dimension))
        switch binding.rotary.scaling {
        case .none:
            writer.put(UInt8(0))
        case .linear(let factor):
            writer.put(UInt8(1))
            writer.put(factor)
        case .llama3(let factor, let low, let high, let original):
            writer.put(UInt8(2))
            for value in [factor, low, high] { writer.put(value) }
            writer.put(original)
        case .yarn(let yarn):
            writer.put(UInt8(3))
            for value in [yarn.factor, yarn.betaFast, yarn.betaSlow, yarn.attentionFactor] {
                writer.put(value)
            }
            writer.put(yarn.originalPositionCount)
            writer.put(UInt8(yarn.roundsRamp ? 1 : 0))
        }
        writer.put(UInt16(binding.tensorParallelRank))
        writer.put(UInt16(binding.tensorParallelSize))
        writer.put(UInt16(binding.calibration.map { UInt16($0.checkLayer) + 1 } ?? 0))
        writer.put(binding.calibration?.tensor.rawValue ?? 0)
        let runs = Self.runs(of: binding.layers)
        writer.put(UInt16(runs.count))
        for (repeatCount, layer) in runs {
            writer.put(UInt16(repeatCount))
            writer.put(UInt32(layer.kvHeadCount))
            writer.put(UInt32(layer.headDimension))
            writer.put(UInt32(layer.windowTokenCount ?? 0))
        }
    }

    /// Neighbours of equal geometry taken together, so that most models need one row.
    private static func runs(of layers: [LayerGeometry])
        -> [(repeatCount: Int, layer: LayerGeometry)]
    {
        var runs: [(repeatCount: Int, layer: LayerGeometry)] = []
        for layer in layers {
            if let last = runs.last, last.layer == layer {
                runs[runs.count - 1].repeatCount += 1
            } else {
                runs.append((1, layer))
            }
        }
        return runs
    }

    public init(decoding bytes: [UInt8]) throws(FormatError) {
        var reader = ByteStreamReader(bytes, structure: "namespaceOperation")
        let code: UInt16 = try reader.integer("operation")
        let id = NamespaceID(try reader.integer("namespace"))
        switch code {
        case 1:
            let name = try Self.text(&reader, "name")
            let binding = try Self.binding(&reader)
            self = .create(NamespaceDescription(id: id, name: name, binding: binding))
        case 2:
            let commit: UInt64 = try reader.integer("commit")
            try reader.require(
                commit <= FieldReader.counterMax, "commit", clause: "FMT-12",
                expected: "at most 2^62", found: "\(commit)")
            self = .drop(id, commit: commit)
        default:
            throw FormatError(
                .corrupt, structure: "namespaceOperation", field: "operation", clause: "NSP-1",
                expected: "1 or 2", found: "\(code)")
        }
        try reader.finish()
    }

    private static func text(_ reader: inout ByteStreamReader, _ field: String)
        throws(FormatError) -> String
    {
        let count: UInt16 = try reader.integer(field)
        try reader.require(
            count <= NamespaceDescription.nameBytesMax, field, clause: "NSP-2",
            expected: "at most 255 bytes", found: "\(count)")
        let bytes = try reader.take(Int(count), field)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw FormatError(
                .corrupt, structure: "namespaceOperation", field: field, clause: "NSP-2",
                expected: "UTF-8", found: hexadecimal(bytes.prefix(32)))
        }
        return text
    }

    private static func binding(_ reader: inout ByteStreamReader) throws(FormatError)
        -> ModelBinding
    {
        let name = try text(&reader, "model")
        let digest = try reader.take(32, "weightsDigest")
        let elementCode: UInt8 = try reader.integer("elementType")
        let formCode: UInt8 = try reader.integer("keyForm")
        let pairingCode: UInt8 = try reader.integer("pairing")
        let reserved: UInt8 = try reader.integer("reserved")
        guard let elementType = ElementType(rawValue: elementCode),
            let keyForm = KeyForm(rawValue: formCode),
            let pairing = RotaryPairing(rawValue: pairingCode), reserved == 0
        else {
            throw FormatError(
                .corrupt, structure: "namespaceOperation", field: "elementType", clause: "NSP-3",
                expected: "known elementType, keyForm and pairing, then 0",
                found: "\(elementCode), \(formCode), \(pairingCode), \(reserved)")
        }
        let base = try reader.float("rotaryBase")
        let dimension: UInt32 = try reader.integer("rotaryDimension")
        let scaling = try scaling(&reader)
        let rank: UInt16 = try reader.integer("tensorParallelRank")
        let size: UInt16 = try reader.integer("tensorParallelSize")
        let checkLayer: UInt16 = try reader.integer("checkLayer")
        let tensor = DeviationTensor(rawValue: try reader.integer("deviationTensor"))
        let layers = try layers(&reader)
        try reader.require(
            checkLayer <= layers.count, "checkLayer", clause: "NSP-4",
            expected: "0, or 1 more than a layer of \(layers.count)", found: "\(checkLayer)")
        let calibration =
            checkLayer == 0
            ? nil
            : tensor.map { BlendCalibration(checkLayer: Int(checkLayer) - 1, tensor: $0) }
        let binding = ModelBinding(
            name: name, weightsDigest: digest, layers: layers, elementType: elementType,
            rotary: RotaryEmbedding(
                base: base, dimension: Int(dimension), pairing: pairing, scaling: scaling),
            keyForm: keyForm, tensorParallelRank: Int(rank), tensorParallelSize: Int(size),
            calibration: calibration)
        do {
            try binding.validate()
        } catch {
            throw FormatError(
                .corrupt, structure: "namespaceOperation", field: error.field, clause: "NSP-4",
                expected: error.reason, found: "another value")
        }
        return binding
    }

    private static func layers(_ reader: inout ByteStreamReader) throws(FormatError)
        -> [LayerGeometry]
    {
        let runCount: UInt16 = try reader.integer("runCount")
        var layers: [LayerGeometry] = []
        for _ in 0..<runCount {
            let repeatCount: UInt16 = try reader.integer("repeat")
            try reader.require(
                repeatCount > 0 && layers.count + Int(repeatCount) <= ModelBinding.layerCountMax,
                "repeat", clause: "NSP-9",
                expected: "1 or more, at most \(ModelBinding.layerCountMax) layers in all",
                found: "\(repeatCount) after \(layers.count)")
            let heads: UInt32 = try reader.integer("kvHeadCount")
            let headDimension: UInt32 = try reader.integer("headDimension")
            let window: UInt32 = try reader.integer("windowTokenCount")
            let layer = LayerGeometry(
                kvHeadCount: Int(heads), headDimension: Int(headDimension),
                windowTokenCount: window == 0 ? nil : Int(window))
            layers += [LayerGeometry](repeating: layer, count: Int(repeatCount))
        }
        return layers
    }

    private static func scaling(_ reader: inout ByteStreamReader) throws(FormatError)
        -> RotaryScaling
    {
        let code: UInt8 = try reader.integer("scaling")
        switch code {
        case 0: return .none
        case 1: return .linear(factor: try reader.float("factor"))
        case 2:
            let factor = try reader.float("factor")
            let low = try reader.float("lowFrequencyFactor")
            let high = try reader.float("highFrequencyFactor")
            return .llama3(
                factor: factor, lowFrequencyFactor: low, highFrequencyFactor: high,
                originalPositionCount: try reader.integer("originalPositionCount"))
        case 3: return .yarn(try yarn(&reader))
        default:
            throw FormatError(
                .corrupt, structure: "namespaceOperation", field: "scaling", clause: "NSP-3",
                expected: "0 to 3", found: "\(code)")
        }
    }

    private static func yarn(_ reader: inout ByteStreamReader) throws(FormatError) -> YarnScaling {
        let factor = try reader.float("factor")
        let betaFast = try reader.float("betaFast")
        let betaSlow = try reader.float("betaSlow")
        let attentionFactor = try reader.float("attentionFactor")
        let original: UInt32 = try reader.integer("originalPositionCount")
        let rounds: UInt8 = try reader.integer("roundsRamp")
        try reader.require(
            rounds <= 1, "roundsRamp", clause: "NSP-3", expected: "0 or 1", found: "\(rounds)")
        return YarnScaling(
            factor: factor, betaFast: betaFast, betaSlow: betaSlow,
            attentionFactor: attentionFactor, originalPositionCount: original,
            roundsRamp: rounds == 1)
    }
}
