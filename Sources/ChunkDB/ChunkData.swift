// What `get` hands over: verified planes in one aligned buffer.

import BlockIO
import ChunkFormat
import KVModel
import Primitives

/// Planes of a stored chunk in memory. Owns them; they end with it.
public struct ChunkData: ~Copyable, Sendable {
    public let entry: ChunkEntry
    public let metadata: ChunkMetadata
    public let layers: Range<Int>
    /// The rows that were asked for, of every plane.
    public let tokens: Range<Int>
    /// Position of the chunk's first token when its KV was computed.
    public let basePosition: Int
    let buffer: AlignedBuffer
    let planes: [PlanePlace]

    struct PlanePlace: Sendable {
        let layer: Int
        let kind: ExtentKind
        let offset: Int
        let byteCount: Int
    }

    /// The rows of one plane: `[token][kv head][dim]` of the binding's element type.
    public borrowing func withPlane<Result>(
        layer: Int, _ kind: ExtentKind, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        guard let place = planes.first(where: { $0.layer == layer && $0.kind == kind }) else {
            preconditionFailure("layer \(layer) was not read")
        }
        return try unsafe buffer.withBytes { bytes in
            // SAFETY: places were laid out inside the buffer.
            try unsafe body(
                UnsafeRawBufferPointer(
                    rebasing: bytes[place.offset..<place.offset + place.byteCount]))
        }
    }

    /// A copy of one plane's rows.
    public borrowing func plane(layer: Int, _ kind: ExtentKind) -> [UInt8] {
        unsafe withPlane(layer: layer, kind) { unsafe Array($0) }
    }
}
