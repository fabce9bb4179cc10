// The file that `plan` reads: one JSON object that says what a prompt is made of and how its chunks
// are to be put together. Everything that is wrong with it is said with the field's name.

import Foundation
import Fusion
import KVModel
import Primitives

/// A prompt as it stands in the file.
struct PromptFile: Decodable {
    /// Token ids, or the beginning of a stored chunk's key.
    enum Chunk: Decodable {
        case tokens([UInt32])
        case key(String)

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let tokens = try? container.decode([UInt32].self) {
                self = .tokens(tokens)
            } else {
                self = .key(try container.decode(String.self))
            }
        }
    }
    struct Device: Decodable {
        var bytesPerSecond: Double
        var fixedSeconds: Double?
    }
    struct Compute: Decodable {
        var secondsPerToken: Double
        var secondsPerPair: Double?
        var fixedSeconds: Double?
        /// ρ, the share of a layer's work that is projections to keys and values.
        var projectionShare: Double
    }
    var chunks: [Chunk]
    var question: [UInt32]
    /// `concatenate`, `realign`, `prefix`, `parallel`, `cacheBlend`, `cacheCraft`, `recompute`.
    var mode: String
    /// Of `cacheBlend`; absent: as many rows as loading leaves time for.
    var ratio: Double?
    /// Of `cacheCraft`; 1 when absent.
    var alpha: Double?
    /// Of `parallel`; 1 when absent.
    var temperature: Double?
    var scale: Double?
    /// Needed where the store has several.
    var namespace: String?
    var checkLayer: Int?
    var gradualSpread: Double?
    var deadlineSeconds: Double?
    /// The model has positions below this.
    var positionLimit: Int?
    /// Costs are known when both are there: then loading is weighed, and times are told.
    var device: Device?
    var compute: Compute?

    static let bytesMax = 256 << 20

    /// *Throws:* `.cannotOpen` for a file that cannot be read, `.usage` for what it says.
    init(path: String) throws(ShellError) {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw ShellError(.cannotOpen, "\(path): cannot be read")
        }
        guard data.count <= Self.bytesMax else {
            throw ShellError(.usage, "\(path): more than \(Self.bytesMax) bytes")
        }
        do {
            self = try JSONDecoder().decode(Self.self, from: data)
        } catch let error as DecodingError {
            throw ShellError(.usage, "\(path): \(Self.describe(error))")
        } catch {
            throw ShellError(.usage, "\(path): not a prompt")
        }
        guard !question.isEmpty else { throw ShellError(.usage, "\(path): question is empty") }
        for (index, chunk) in chunks.enumerated() {
            if case .tokens(let tokens) = chunk, tokens.isEmpty {
                throw ShellError(.usage, "\(path): chunks[\(index)] is empty")
            }
        }
    }

    private static func describe(_ error: DecodingError) -> String {
        func place(_ path: [any CodingKey]) -> String {
            path.reduce(into: "") { text, key in
                if let index = key.intValue {
                    text += "[\(index)]"
                } else {
                    text += text.isEmpty ? key.stringValue : ".\(key.stringValue)"
                }
            }
        }
        switch error {
        case .keyNotFound(let key, let context):
            return "\(place(context.codingPath + [key])) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return "\(place(context.codingPath)) has a value of another kind"
        case .dataCorrupted(let context) where context.codingPath.isEmpty: return "no JSON object"
        case .dataCorrupted(let context): return "\(place(context.codingPath)) is out of range"
        @unknown default: return "not a prompt"
        }
    }

    /// *Throws:* `.usage` for a mode there is not, or one without the costs it needs.
    func fusionMode() throws(ShellError) -> FusionMode {
        switch mode {
        case "concatenate": return .concatenate
        case "realign": return .realign
        case "prefix": return .prefix
        case "recompute": return .recompute
        case "parallel": return .parallel(temperature: temperature ?? 1, scale: scale ?? 1)
        case "cacheCraft": return .cacheCraft(alpha: alpha ?? 1)
        case "cacheBlend":
            if ratio == nil, device == nil || compute == nil {
                throw ShellError(
                    .usage, "cacheBlend without a ratio needs the costs: device and compute")
            }
            return .cacheBlend(ratio: ratio)
        default:
            throw ShellError(
                .usage,
                "no mode \"\(mode)\"; modes are concatenate, realign, prefix, parallel, "
                    + "cacheBlend, cacheCraft and recompute")
        }
    }

    /// The profiles, or stand-ins whose numbers nobody is told.
    func profiles() throws(ShellError) -> (DeviceProfile, ComputeProfile, isKnown: Bool) {
        do throws(FusionError) {
            let device = try DeviceProfile(
                bytesPerSecond: device?.bytesPerSecond ?? 1,
                fixedSeconds: device?.fixedSeconds ?? 0)
            let compute = try ComputeProfile(
                secondsPerToken: compute?.secondsPerToken ?? 1,
                secondsPerPair: compute?.secondsPerPair ?? 0,
                fixedSeconds: compute?.fixedSeconds ?? 0,
                projectionShare: compute?.projectionShare ?? 0)
            return (device, compute, self.device != nil && self.compute != nil)
        } catch {
            throw ShellError(.usage, "\(error)")
        }
    }
}
