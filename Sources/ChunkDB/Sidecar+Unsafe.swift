// Small bytes of the caller's own beside the planes (format-spec 05, EXT-10): key summaries for
// retrieval, scales of quantised numbers, and the like. The store knows their type and no more.

import BlockIO
import ChunkFormat
import KVModel
import Primitives

/// Bytes that belong to one layer of a stored chunk.
public struct Sidecar: Sendable, Hashable {
    public var layer: Int
    /// What the bytes are: a number of the caller's choosing.
    public var type: UInt32
    /// At least one.
    public var bytes: [UInt8]

    public init(layer: Int, type: UInt32, bytes: [UInt8]) {
        self.layer = layer
        self.type = type
        self.bytes = bytes
    }
}

extension Namespace {
    /// Sidecars as they will stand, by layer and type (EXT-11).
    func sorted(_ sidecars: [Sidecar]) throws(StoreError) -> [Sidecar] {
        let sorted = sidecars.sorted { ($0.layer, $0.type) < ($1.layer, $1.type) }
        for sidecar in sorted {
            guard binding.layers.indices.contains(sidecar.layer) else {
                throw .shape(
                    what: "layer of a sidecar", expected: "within 0..<\(binding.layerCount)",
                    found: "\(sidecar.layer)")
            }
            guard !sidecar.bytes.isEmpty, sidecar.bytes.count < 1 << 32 else {
                throw .shape(
                    what: "bytes of a sidecar", expected: "1 to 2^32 - 1",
                    found: "\(sidecar.bytes.count)")
            }
        }
        for (one, next) in zip(sorted, sorted.dropFirst())
        where (one.layer, one.type) == (next.layer, next.type) {
            throw .shape(
                what: "sidecars of a layer", expected: "of distinct types",
                found: "two of type \(one.type) in layer \(one.layer)")
        }
        return sorted
    }
}

/// Which sidecars of a stored variant.
public struct SidecarRequest: Sendable {
    public var key: ChunkKey
    public var variant: VariantID
    /// `nil` for all.
    public var layers: Range<Int>?
    /// `nil` for all.
    public var types: Set<UInt32>?

    public init(
        _ key: ChunkKey, variant: VariantID = .standalone, layers: Range<Int>? = nil,
        types: Set<UInt32>? = nil
    ) {
        self.key = key
        self.variant = variant
        self.layers = layers
        self.types = types
    }
}

extension Namespace {
    /// Reads sidecars of some chunks, and no planes: headers that are not in memory side by side,
    /// then all sidecars in one batch, neighbours as one request.
    ///
    /// *Returns:* for each chunk its sidecars by layer and type, `nil` for a miss.
    /// *Throws:* `.damaged` when one does not verify; nothing is handed over. `.shape` for layers
    /// that the model does not have.
    public func sidecars(
        _ wanted: [SidecarRequest], verification: Verification = .verified
    ) async throws(StoreError) -> [[Sidecar]?] {
        if Task.isCancelled { throw .cancelled }
        try core.gate.enter()
        defer { core.gate.leave() }
        var found: [[LocatedExtent]?] = []
        var entries: [ChunkEntry] = []
        for (request, outcome) in zip(wanted, await locate(wanted)) {
            guard let chunk = try outcome.get() else {
                found.append(nil)
                continue
            }
            entries.append(chunk.entry)
            found.append(chunk.sidecars.filter { request.types?.contains($0.sidecarType) ?? true })
        }
        var parts: [PartRead] = []
        var offset = 0
        let all = found.compactMap(\.self).joined().sorted {
            ($0.file.raw, $0.fileOffset) < ($1.file.raw, $1.fileOffset)
        }
        for extent in all {
            // Two requests may name one chunk.
            if let last = parts.last?.extent, last.place == extent.place { continue }
            parts.append(
                PartRead(
                    extent: extent, blockOffset: 0, byteCount: extent.paddedBytes,
                    bufferOffset: offset))
            offset += extent.paddedBytes
        }
        var buffer = core.disk.makeReadBuffer(byteCount: max(offset, 1))
        try await read(parts, into: &buffer, verification)
        for entry in entries { touch(entry) }
        let starts = Dictionary(
            uniqueKeysWithValues: parts.map { ($0.extent.place, $0.bufferOffset) })
        return unsafe buffer.withBytes { bytes in
            found.map { extents in
                extents?.map { extent in
                    let start = starts[extent.place]!
                    // SAFETY: laid out inside the buffer, whose reads have completed.
                    return unsafe Sidecar(
                        layer: extent.layer, type: extent.sidecarType,
                        bytes: Array(bytes[start..<start + extent.storedBytes]))
                }
            }
        }
    }

    private func locate(_ wanted: [SidecarRequest]) async -> [Result<LocatedChunk?, StoreError>] {
        typealias Outcome = Result<LocatedChunk?, StoreError>
        return await withTaskGroup(of: (Int, Outcome).self) { group in
            for (number, request) in wanted.enumerated() {
                group.addTask { (number, await self.locate(request)) }
            }
            var outcomes = [Outcome](repeating: .success(nil), count: wanted.count)
            for await (number, outcome) in group { outcomes[number] = outcome }
            return outcomes
        }
    }

    private func locate(_ request: SidecarRequest) async -> Result<LocatedChunk?, StoreError> {
        do throws(StoreError) {
            return .success(
                try await locate(request.key, variant: request.variant, layers: request.layers))
        } catch {
            return .failure(error)
        }
    }
}

extension LocatedExtent {
    fileprivate var sidecarType: UInt32 { UInt32(truncatingIfNeeded: row.codecParameters) }

    fileprivate struct Place: Hashable {
        let file: FileID
        let offset: UInt64
    }
    fileprivate var place: Place { Place(file: file, offset: fileOffset) }
}
