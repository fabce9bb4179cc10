// A bench to test on: one small model, payloads that name their owner, and stores on simulated or
// real disks.

import BlockIO
import ChunkDB
import ChunkFormat
import Foundation
import KVModel
import Primitives
import SegmentLog
import StoreTestSupport

/// A binding of a few small layers; rows of 256 bytes.
public func smallBinding(layers: Int = 3, heads: Int = 1, name: String = "tiny") -> ModelBinding {
    ModelBinding(
        name: name, weightsDigest: [UInt8](repeating: 7, count: 32),
        layers: (0..<layers).map { _ in LayerGeometry(kvHeadCount: heads, headDimension: 64) },
        elementType: .float32, rotary: RotaryEmbedding(base: 10_000, dimension: 64))
}

/// Bytes that depend on the owner, the layer and the place: any mixture is recognised.
public func plane(_ owner: UInt64, layer: Int, _ kind: ExtentKind, byteCount: Int) -> [UInt8] {
    var generator = SeededGenerator(
        seed: owner &* 1_000_003 &+ UInt64(layer) &* 31 &+ UInt64(kind.rawValue))
    var words: [UInt64] = []
    words.reserveCapacity(byteCount / 8 + 1)
    while words.count * 8 < byteCount { words.append(generator.next().bigEndian) }
    return Array(memoryBytes(words).prefix(byteCount))
}

/// A chunk whose every byte follows from its number.
public struct TestChunk: Sendable {
    public let owner: UInt64
    public let tokens: [UInt32]
    /// Numbers as attention's are, of like size: every fourth byte of a plane is one of three.
    public let isRegular: Bool

    public init(_ owner: UInt64, tokenCount: Int = 16, isRegular: Bool = false) {
        self.owner = owner
        self.isRegular = isRegular
        tokens = (0..<tokenCount).map { UInt32(truncatingIfNeeded: owner &* 977 &+ UInt64($0)) }
    }

    public func key(in namespace: Namespace) -> ChunkKey { namespace.key(tokens: tokens) }

    public func layers(_ binding: ModelBinding) -> [(keys: [UInt8], values: [UInt8])] {
        (0..<binding.layerCount).map { layer in
            let bytes = binding.rowBytes(layer: layer) * tokens.count
            return (
                rows(layer, .keys, byteCount: bytes), rows(layer, .values, byteCount: bytes)
            )
        }
    }

    private func rows(_ layer: Int, _ kind: ExtentKind, byteCount: Int) -> [UInt8] {
        var bytes = plane(owner, layer: layer, kind, byteCount: byteCount)
        guard isRegular else { return bytes }
        for index in stride(from: 3, to: byteCount, by: 4) {
            bytes[index] = 0x3E &+ UInt8(index / 40 % 3)
        }
        return bytes
    }

    @discardableResult
    public func put(
        in namespace: Namespace, context: PrefixContext = .standalone, pinned: Bool = false,
        timeToLive: Duration? = nil, codec: PlaneCodec? = nil, sidecars: [Sidecar] = [],
        durability: Durability = .durable
    ) async throws(StoreError) -> CommitOutcome {
        try await namespace.put(
            key(in: namespace), tokens: tokens, layers: layers(namespace.binding),
            context: context, pinned: pinned, timeToLive: timeToLive, codec: codec,
            sidecars: sidecars, durability: durability)
    }

    /// Some of each layer's, of two types, whose bytes follow from the chunk's number.
    public func sidecars(layerCount: Int, byteCount: Int = 300) -> [Sidecar] {
        (0..<layerCount).flatMap { layer in
            [1, 1 << 31].map { (type: UInt32) in
                Sidecar(
                    layer: layer, type: type,
                    bytes: plane(
                        owner &+ UInt64(type), layer: layer, .sidecar,
                        byteCount: byteCount * (layer + 1)))
            }
        }
    }

    /// `nil` for a miss, otherwise whether every byte is this chunk's.
    public func isIntact(in namespace: Namespace, variant: VariantID = .standalone)
        async throws(StoreError) -> Bool?
    {
        guard let data = try await namespace.get(key(in: namespace), variant: variant) else {
            return nil
        }
        for (layer, planes) in layers(namespace.binding).enumerated() {
            guard areEqual(data.plane(layer: layer, .keys), planes.keys),
                areEqual(data.plane(layer: layer, .values), planes.values)
            else { return false }
        }
        return data.metadata.tokens == tokens
    }
}

/// A simulated machine: one scheduler, one disk, stores that come and go.
public struct SimulatedMachine: Sendable {
    public let scheduler: SeededScheduler
    public var disk: SimulatedDisk
    public let entropy: SeededEntropy
    public var options: StoreOptions

    public init(
        seed: UInt64, capacity: ByteCount = .mebibytes(64), segmentSize: ByteCount = .kibibytes(256)
    ) {
        scheduler = SeededScheduler(seed: seed)
        disk = SimulatedDisk(scheduler: scheduler, options: SimulatedDiskOptions(seed: seed))
        entropy = SeededEntropy(seed: seed)
        options = StoreOptions(
            capacity: capacity, segmentSize: segmentSize, digestBlockShift: 12)
    }

    /// Runs async work under the scheduler, on this thread.
    public func run<Success: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () async throws(Failure) -> Success
    ) throws(Failure) -> Success {
        try scheduler.wait { () async -> Result<Success, Failure> in
            do throws(Failure) {
                return .success(try await body())
            } catch {
                return .failure(error)
            }
        }.get()
    }

    /// The same machine with its disk as the next process finds it.
    public func afterRestart() -> SimulatedMachine {
        var next = self
        next.disk = disk.openedAgain()
        return next
    }

    /// The same machine after a power cut.
    public func afterPowerCut(_ survival: Survival) -> SimulatedMachine {
        var next = self
        next.disk = disk.crash(survival)
        return next
    }

    public func open() throws(StoreError) -> ChunkDB {
        try run { [self] () async throws(StoreError) -> ChunkDB in try await openAsync() }
    }

    public func openAsync() async throws(StoreError) -> ChunkDB {
        try await ChunkDB.open(
            on: disk, options: options,
            environment: LogEnvironment(
                executor: scheduler, clock: scheduler.clock, entropy: entropy))
    }
}

/// A directory that is removed when the test ends.
public final class TemporaryDirectory: Sendable {
    public let path: String
    public init() {
        path = NSTemporaryDirectory() + "chunkdb-test-\(UUID().uuidString)"
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}
