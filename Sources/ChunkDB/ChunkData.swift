// What reads hand over: verified planes, and where in a buffer they stand.

import BlockIO
import ChunkFormat
import KVModel
import Primitives

/// Where the planes of a stored chunk were put.
public struct PlaneMap: Sendable {
    public let entry: ChunkEntry
    public let metadata: ChunkMetadata
    public let layers: Range<Int>
    /// The rows that were asked for, of every plane.
    public let tokens: Range<Int>
    /// Position of the chunk's first token when its KV was computed.
    public let basePosition: Int
    /// Bytes of the buffer that the planes take, padding included.
    public let byteCount: Int
    let places: [Place]

    struct Place: Sendable {
        let layer: Int
        let kind: ExtentKind
        let range: Range<Int>
    }

    /// Where the rows of one plane stand in the buffer; `nil` for a layer that was not asked for.
    public func byteRange(layer: Int, _ kind: ExtentKind) -> Range<Int>? {
        places.first { $0.layer == layer && $0.kind == kind }?.range
    }
}

/// Planes of a stored chunk in memory. Owns them; they end with it.
public struct ChunkData: ~Copyable, Sendable {
    public let map: PlaneMap
    let buffer: AlignedBuffer

    public var entry: ChunkEntry { map.entry }
    public var metadata: ChunkMetadata { map.metadata }
    public var layers: Range<Int> { map.layers }
    public var tokens: Range<Int> { map.tokens }
    public var basePosition: Int { map.basePosition }

    /// The rows of one plane: `[token][kv head][dim]` of the binding's element type.
    public borrowing func withPlane<Result>(
        layer: Int, _ kind: ExtentKind, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        guard let range = map.byteRange(layer: layer, kind) else {
            preconditionFailure("layer \(layer) was not read")
        }
        return try unsafe buffer.withBytes { bytes in
            // SAFETY: places were laid out inside the buffer.
            try unsafe body(
                UnsafeRawBufferPointer(rebasing: bytes[range]))
        }
    }

    /// A copy of one plane's rows.
    public borrowing func plane(layer: Int, _ kind: ExtentKind) -> [UInt8] {
        unsafe withPlane(layer: layer, kind) { unsafe Array($0) }
    }
}
