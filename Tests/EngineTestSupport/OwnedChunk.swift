// Chunks of two tenants whose bytes name their true owner: every 32 bytes of a payload say whose it
// is, in which edition, of which plane and from which place. A chunk key is the same in both
// namespaces, so a mixture of tenants, editions or planes is recognised, and said by name.

import ChunkDB
import ChunkFormat
import KVModel
import Primitives
import StoreTestSupport
import Synchronization

/// One key of one tenant. Its payload has editions: each put after a removal stores another one.
public struct OwnedChunk: Hashable, Sendable, CustomStringConvertible {
    public static let spaceCount: UInt64 = 2
    public static let binding = smallBinding(layers: 2)

    /// Even owners are one tenant's, odd ones the other's.
    public let owner: UInt64
    public init(_ owner: UInt64) { self.owner = owner }

    public var space: UInt64 { owner % Self.spaceCount }
    public static func spaceName(_ space: UInt64) -> String { space == 0 ? "acme" : "beta" }
    private var number: UInt64 { owner / Self.spaceCount }

    /// Most take one small record; some take two, of which neither fits a segment's rest easily.
    public var tokenCount: Int { [8, 8, 20, 44][Int(number % 4)] }
    public var tokens: [UInt32] {
        (0..<tokenCount).map { UInt32(truncatingIfNeeded: number &* 977 &+ UInt64($0)) }
    }
    public func key(in namespace: Namespace) -> ChunkKey { namespace.key(tokens: tokens) }

    public var description: String { "chunk \(owner)" }

    /// Whose key it is, in a tenant's namespace.
    public static func owner(
        of key: ChunkKey, inSpace name: String, among owners: Range<UInt64>
    ) -> UInt64? {
        owners.first {
            spaceName($0 % spaceCount) == name
                && ChunkKey(
                    tokens: OwnedChunk($0).tokens, bindingDigest: binding.digest, identity: .init())
                    == key
        }
    }

    /// Some are never to be forgotten.
    public var isPinned: Bool { number % 4 == 1 }

    // MARK: Payload

    private struct PlaneName: Hashable {
        let chunk: OwnedChunk
        let edition: UInt64
        let layer: Int
        let kind: ExtentKind
    }
    /// Made once: the same few are compared thousands of times.
    private static let planes = Mutex<[PlaneName: [UInt8]]>([:])

    public func plane(_ edition: UInt64, layer: Int, _ kind: ExtentKind) -> [UInt8] {
        let name = PlaneName(chunk: self, edition: edition, layer: layer, kind: kind)
        if let bytes = Self.planes.withLock({ $0[name] }) { return bytes }
        var words: [UInt64] = []
        let lineCount = tokenCount * Self.binding.rowBytes(layer: layer) / 32
        for line in 0..<lineCount {
            words += [owner, edition, UInt64(layer) << 8 | UInt64(kind.rawValue), UInt64(line)]
        }
        let bytes = memoryBytes(words)
        Self.planes.withLock { $0[name] = bytes }
        return bytes
    }

    public func layers(_ edition: UInt64) -> [(keys: [UInt8], values: [UInt8])] {
        Self.binding.layers.indices.map {
            (plane(edition, layer: $0, .keys), plane(edition, layer: $0, .values))
        }
    }

    /// Most editions are raw; the others are what `get` gives all the same.
    private func codec(_ edition: UInt64) -> PlaneCodec {
        (owner + edition) % 3 == 0 ? .bytePlanesLZ4 : .raw
    }

    /// Beside some editions.
    private func sidecars(_ edition: UInt64) -> [Sidecar] {
        guard (owner + edition) % 5 == 1 else { return [] }
        return [Sidecar(layer: 1, type: 9, bytes: memoryBytes([owner, edition, 9]))]
    }

    // MARK: Calls

    public func put(
        _ edition: UInt64, in namespace: Namespace, _ durability: Durability, streamed: Bool,
        replacing: Bool = false
    ) async throws(StoreError) -> CommitOutcome {
        let (key, layers) = (key(in: namespace), layers(edition))
        guard streamed || isPinned else {
            return try await namespace.put(
                key, tokens: tokens, layers: layers, replacing: replacing, codec: codec(edition),
                sidecars: sidecars(edition), durability: durability)
        }
        var writer = try await namespace.beginPut(
            key, tokens: tokens, pinned: isPinned, replacing: replacing)
        for (layer, planes) in layers.enumerated() {
            try await writer.append(layer: layer, keys: planes.keys, values: planes.values)
        }
        return try await writer.commit(durability: durability)
    }

    /// Puts a stamp into the metadata of what is there, durably. *Returns:* false for a miss.
    public func renew(_ stamp: UInt64, in namespace: Namespace) async throws(StoreError) -> Bool {
        try await namespace.renew(key(in: namespace)) { $0.creationMilliseconds = Float(stamp) }
    }

    /// The same payload under another stamp: a state of its own.
    public static func renewed(_ state: UInt64, _ stamp: UInt64) -> UInt64 {
        state & 0xFFFF_FFFF | stamp << 32
    }

    public static func isRenewed(_ state: UInt64) -> Bool { state >> 32 != 0 }

    /// What a lookup gave.
    public enum Found: Hashable, Sendable {
        case missing
        /// Of its bytes, and above 32 bits the stamp of its metadata.
        case edition(UInt64)
        /// Bytes that are not one complete put of this key; never right (CONTRACT G-1).
        case wrong(String)
    }

    /// Reads the chunk, or some of its layers and tokens, and says what it is.
    public func read(
        in namespace: Namespace?, layers: Range<Int>? = nil, tokens: Range<Int>? = nil
    ) async throws(StoreError) -> Found {
        guard let namespace,
            let data = try await namespace.get(
                key(in: namespace), layers: layers, tokens: tokens)
        else { return .missing }
        let (layers, rows) = (layers ?? Self.binding.layers.indices, tokens ?? 0..<tokenCount)
        guard !layers.isEmpty, !rows.isEmpty else { return .wrong("nothing was asked for") }
        if data.metadata.tokens != self.tokens { return .wrong("tokens of another chunk") }
        let edition = Self.word(data.plane(layer: layers.lowerBound, .keys), 1)
        for layer in layers {
            let rowBytes = Self.binding.rowBytes(layer: layer)
            for kind in [ExtentKind.keys, .values] {
                let found = data.plane(layer: layer, kind)
                let whole = plane(edition, layer: layer, kind)
                let range = rows.lowerBound * rowBytes..<rows.upperBound * rowBytes
                if !areEqual(found, rows.count == tokenCount ? whole : Array(whole[range])) {
                    return .wrong("\(kind) of layer \(layer): \(Self.describe(found))")
                }
            }
        }
        let stamp = data.metadata.recompute.creationMilliseconds
        guard let stamp = UInt64(exactly: stamp), stamp < 1 << 24 else {
            return .wrong("a stamp of \(stamp)")
        }
        return .edition(Self.renewed(edition, stamp))
    }

    /// A word of the first line: owner, edition, plane, line.
    private static func word(_ bytes: [UInt8], _ index: Int) -> UInt64 {
        guard bytes.count >= index * 8 + 8 else { return .max }
        return bytes[index * 8..<index * 8 + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func describe(_ bytes: [UInt8]) -> String {
        "begins as owner \(word(bytes, 0)) edition \(word(bytes, 1)) plane "
            + "\(String(word(bytes, 2), radix: 16)) line \(word(bytes, 3))"
    }
}
