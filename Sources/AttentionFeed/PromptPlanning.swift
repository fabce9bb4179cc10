// One step from a prompt's chunks to a plan: what is stored for them is looked up, and weighed with
// what the store measured of its device.

import ChunkDB
import Fusion
import KVModel
import Primitives

/// Why a prompt has no plan.
public enum PlanningError: Error, Sendable, CustomStringConvertible {
    case feed(AttentionFeedError)
    case fusion(FusionError)
    /// The store has not read enough to know its device; pass a profile.
    case deviceUnknown

    public var description: String {
        switch self {
        case .feed(let error): "\(error)"
        case .fusion(let error): "\(error)"
        case .deviceUnknown: "the store has not read enough to know how fast its device is"
        }
    }
}

extension Namespace {
    /// Looks up all variants of the prompt's chunks and plans.
    ///
    /// - Parameters:
    ///   - chunks: in the order of their rows.
    ///   - device: `nil` is what the store measured of its own reads.
    ///   - positionLimit: the model has positions `0..<positionLimit`.
    ///   - change: whatever else the request is to say.
    /// *Complexity:* `find`, and that of a plan; no payload is read.
    public func plan(
        _ chunks: [ChunkSpan], tokenCount: Int, mode: FusionMode, compute: ComputeProfile,
        device: DeviceProfile? = nil, positionLimit: Int,
        change: (inout PlanRequest) -> Void = { _ in }
    ) async throws(PlanningError) -> FusionPlan {
        let found: [ChunkKey: [FoundVariant]]
        do throws(AttentionFeedError) {
            found = try await find(chunks.map(\.key))
        } catch {
            throw .feed(error)
        }
        guard let device = device ?? DeviceProfile(readSpeed) else { throw .deviceUnknown }
        var request = PlanRequest(
            binding: binding, tokenCount: tokenCount, chunks: chunks, found: found, mode: mode,
            device: device, compute: compute, positionLimit: positionLimit)
        change(&request)
        do throws(FusionError) {
            return try FusionPlan(request)
        } catch {
            throw .fusion(error)
        }
    }
}
