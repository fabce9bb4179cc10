// Chunks to put: geometries of models that exist, bytes that cannot be compressed, and memory that
// is touched once. Every chunk takes its planes from one pool, at another turn of it, so that
// chunks differ and a reader can tell whether it got the right one.

import ArgumentParser
import ChunkDB

/// A model's planes and the tokens of one chunk.
struct ChunkGeometry: Sendable {
    let name: String
    let layerCount: Int
    let kvHeadCount: Int
    let headDimension: Int
    var tokenCount: Int
    let elementType: ElementType
    var rotaryBase: Float = 500_000
    /// Dimensions that the rotary embedding turns; all of them where it is `nil`.
    var rotaryDimension: Int?

    var planeBytes: Int {
        kvHeadCount * headDimension * elementType.byteCount * tokenCount
    }
    /// Key and value plane of one layer, which stand side by side.
    var layerBytes: Int { 2 * planeBytes }
    /// Whether planes can stand side by side as they stand on disk.
    var hasWholeUnits: Bool { planeBytes.isMultiple(of: 4_096) }
    var chunkBytes: Int { layerCount * layerBytes }

    var binding: ModelBinding {
        ModelBinding(
            name: name, weightsDigest: [UInt8](repeating: 7, count: 32),
            layers: Array(
                repeating: LayerGeometry(kvHeadCount: kvHeadCount, headDimension: headDimension),
                count: layerCount),
            elementType: elementType,
            rotary: RotaryEmbedding(
                base: rotaryBase, dimension: rotaryDimension ?? headDimension))
    }

    var sizeText: String { ByteCount(UInt64(chunkBytes)).description }
    var layerText: String { ByteCount(UInt64(layerBytes)).description }
}

enum Preset: String, CaseIterable, ExpressibleByArgument {
    /// 32 layers × 8 KV heads × 128, bf16; 256 tokens: 32 MiB.
    case llama3_8b = "llama-3-8b"
    /// 16 layers × 8 KV heads × 64, bf16; 64 tokens: 2 MiB.
    case llama3_1b = "llama-3.2-1b"
    /// 80 layers × 8 KV heads × 128, bf16; 256 tokens: 80 MiB.
    case llama3_70b = "llama-3-70b"
    /// 28 layers × 4 KV heads × 128, bf16; 256 tokens: 14 MiB.
    case qwen2_5_7b = "qwen2.5-7b"
    /// Of version 0.3: 32 layers × 8 KV heads × 128, bf16; 256 tokens: 32 MiB, as llama-3-8b.
    case mistral_7b = "mistral-7b"
    /// Multi-head latent attention: 61 layers × (latent 512 + rotary key 64), bf16; 256 tokens:
    /// 17 MiB. A token's row of 576 numbers is halved, since a layer has two planes of one shape.
    case deepseekV3 = "deepseek-v3"
    /// For smoke runs: 128 KiB.
    case tiny
    /// Eight tokens of one layer: as little on disk as a chunk can be, where entries are counted.
    /// Fewer tokens would not tell a million chunks apart.
    case token

    var geometry: ChunkGeometry {
        switch self {
        case .llama3_8b:
            ChunkGeometry(
                name: rawValue, layerCount: 32, kvHeadCount: 8, headDimension: 128,
                tokenCount: 256, elementType: .bfloat16)
        case .llama3_1b:
            ChunkGeometry(
                name: rawValue, layerCount: 16, kvHeadCount: 8, headDimension: 64,
                tokenCount: 64, elementType: .bfloat16)
        case .llama3_70b:
            ChunkGeometry(
                name: rawValue, layerCount: 80, kvHeadCount: 8, headDimension: 128,
                tokenCount: 256, elementType: .bfloat16)
        case .qwen2_5_7b:
            ChunkGeometry(
                name: rawValue, layerCount: 28, kvHeadCount: 4, headDimension: 128,
                tokenCount: 256, elementType: .bfloat16, rotaryBase: 1_000_000)
        case .mistral_7b:
            ChunkGeometry(
                name: rawValue, layerCount: 32, kvHeadCount: 8, headDimension: 128,
                tokenCount: 256, elementType: .bfloat16, rotaryBase: 1_000_000)
        case .deepseekV3:
            ChunkGeometry(
                name: rawValue, layerCount: 61, kvHeadCount: 1, headDimension: 288,
                tokenCount: 256, elementType: .bfloat16, rotaryBase: 10_000, rotaryDimension: 64)
        case .tiny:
            ChunkGeometry(
                name: rawValue, layerCount: 4, kvHeadCount: 2, headDimension: 64,
                tokenCount: 64, elementType: .bfloat16)
        case .token:
            ChunkGeometry(
                name: rawValue, layerCount: 1, kvHeadCount: 1, headDimension: 64,
                tokenCount: 8, elementType: .bfloat16)
        }
    }
}

/// What the bytes of a put lie in.
enum PutMemory: String, CaseIterable, ExpressibleByArgument {
    /// An array a plane, which is copied once.
    case arrays
    /// All planes side by side at a multiple of 4,096, which go to the disk from there.
    case aligned
}

/// Hands out any number of chunks.
struct ChunkSource: Sendable {
    let geometry: ChunkGeometry
    private let seed: UInt64
    private let planes: [[UInt8]]
    private let pool: PlanePool?

    init(_ geometry: ChunkGeometry, seed: UInt64, memory: [PutMemory] = [.arrays]) {
        self.geometry = geometry
        self.seed = seed
        // One more than a chunk has, so that each chunk begins elsewhere in the pool.
        planes = (0..<2 * geometry.layerCount + 1).map {
            randomBytes(geometry.planeBytes, seed: seed &+ UInt64($0))
        }
        pool =
            memory.contains(.aligned)
            ? PlanePool(planes + planes.prefix(2 * geometry.layerCount)) : nil
    }

    func tokens(_ chunk: Int) -> [UInt32] {
        var generator = SeededGenerator(seed: seed ^ UInt64(chunk) &* 0x9E37_79B9)
        return (0..<geometry.tokenCount).map { _ in
            UInt32.random(in: 0..<128_256, using: &generator)
        }
    }

    func plane(_ chunk: Int, layer: Int, _ kind: ExtentKind) -> [UInt8] {
        planes[(chunk + 2 * layer + (kind == .keys ? 0 : 1)) % planes.count]
    }

    /// All planes of a chunk, of a source that has aligned memory; planes are of whole units.
    func planes(_ chunk: Int) -> AlignedBuffer {
        pool!.buffer(
            at: chunk % planes.count * geometry.planeBytes, byteCount: geometry.chunkBytes)
    }
}
