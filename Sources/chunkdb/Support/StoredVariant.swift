// One stored variant with its headers opened: the record is the truth (PRODUCT D4), so every header
// is compared with what the listing, the namespace and the first record say about it. What does
// not agree is collected, not thrown: a shell shows what is left.

import ChunkDB
import ChunkFormat
import KVModel
import Primitives
import SegmentLog

struct StoredVariant: Sendable {
    struct Record: Sendable {
        let header: PayloadRecord
        let seal: Digest128
        var location: RecordLocation { header.prefix.location }
    }
    let entry: CheckpointEntry
    /// Those that opened; the first one is the root, if `root` is not `nil`.
    fileprivate(set) var records: [Record] = []
    fileprivate(set) var metadata: ChunkMetadata?
    fileprivate(set) var damages: [DamageFacts] = []
    fileprivate let namespaceName: String

    /// The record that describes the variant as a whole.
    var root: PayloadRecord? {
        records.first.flatMap { $0.header.recordIndex == 0 ? $0.header : nil }
    }

    /// In which form to store it again.
    var codec: PlaneCodec {
        records.contains { $0.header.extents.contains { $0.isPlane && $0.codec != 0 } }
            ? .bytePlanesLZ4 : .raw
    }

    fileprivate mutating func note(_ error: LogError, at location: RecordLocation) {
        damages.append(DamageFacts(error, at: location, of: entry, name: namespaceName))
    }
}

extension StoreView {
    /// Opens all records of a variant. *Complexity:* one read per record.
    func open(_ entry: CheckpointEntry) async -> StoredVariant {
        var stored = StoredVariant(
            entry: entry, namespaceName: listing.name(of: entry.namespace))
        guard
            let root = await record(
                at: entry.location, headerBytes: entry.headerBytes, of: &stored)
        else { return stored }
        do throws(LogError) {
            try require(root, root.recordIndex == 0, "recordIndex", "PAY-5", "0")
        } catch {
            stored.note(error, at: entry.location)
            return stored
        }
        do throws(LogError) {
            try require(
                root, listing.namespace(entry.namespace) != nil, "namespace", "NSP-10",
                "a namespace that something describes")
        } catch {
            stored.note(error, at: entry.location)
        }
        for (index, sibling) in root.siblings.enumerated() {
            _ = await record(
                at: sibling.location, headerBytes: sibling.headerBytes, of: &stored,
                as: index + 1, of: root)
        }
        do throws(FormatError) {
            stored.metadata = try ChunkMetadata(decoding: root.metadata)
        } catch {
            stored.note(
                .format(
                    error, file: StoreFiles.segment(entry.location.segment),
                    offset: entry.location.offset), at: entry.location)
        }
        if stored.records.count == root.siblings.count + 1 { requireAllPlanes(&stored, root) }
        return stored
    }

    private func record(
        at location: RecordLocation, headerBytes: UInt32, of stored: inout StoredVariant,
        as index: Int = 0, of root: PayloadRecord? = nil
    ) async -> PayloadRecord? {
        do throws(LogError) {
            let (record, found) = try await reader.payload(at: location, headerBytes: headerBytes)
            do throws(FormatError) {
                try root?.requireSibling(record, seal: found, index: index)
            } catch {
                throw .format(
                    error, file: StoreFiles.segment(location.segment), offset: location.offset)
            }
            try requireIdentity(record, stored.entry)
            stored.records.append(.init(header: record, seal: found))
            return record
        } catch {
            stored.note(error, at: location)
            return nil
        }
    }

    private func requireIdentity(_ record: PayloadRecord, _ entry: CheckpointEntry)
        throws(LogError)
    {
        try require(
            record, record.namespace == entry.namespace, "namespace", "PAY-7",
            "\(entry.namespace)")
        try require(record, record.key == entry.key, "chunkKey", "PAY-7", "\(entry.key)")
        try require(
            record, record.variant == entry.variant, "variantID", "PAY-7", "\(entry.variant)")
        if let digest = listing.bindingDigest(of: entry.namespace) {
            try require(
                record, record.bindingDigest == digest, "bindingDigest", "PAY-7",
                hexadecimal(digest))
        }
    }

    /// K and V of every layer of the binding, once, of its size; other kinds may stand beside them.
    private func requireAllPlanes(_ stored: inout StoredVariant, _ root: PayloadRecord) {
        guard let binding = listing.namespace(root.namespace)?.binding else { return }
        let found = stored.records.flatMap(\.header.extents)
            .filter(\.isKnownPlane)
            .map {
                Plane(
                    layer: Int($0.layer), kind: $0.kind, rawBytes: $0.rawBytes,
                    tokenCount: $0.tokenCount)
            }
        let expected = binding.layers.indices.flatMap { layer in
            [ExtentKind.keys, .values].map { kind in
                Plane(
                    layer: layer, kind: kind,
                    rawBytes: UInt64(binding.rowBytes(layer: layer)) * UInt64(root.tokenCount),
                    tokenCount: root.tokenCount)
            }
        }
        do throws(LogError) {
            for record in stored.records.map(\.header) {
                let first = Int(record.layerFirst)
                let range = first..<first + Int(record.layerCount)
                let layers = Set(record.extents.filter(\.isPlane).map { Int($0.layer) })
                try require(
                    record, layers == Set(range), "layerCount", "PAY-7", "the layers it holds")
            }
            let storedBytes = stored.records.flatMap(\.header.extents)
                .reduce(UInt64(0)) { $0 &+ $1.storedBytes }
            try require(
                root, storedBytes == root.variantBytes, "variantBytes", "PAY-9", "\(storedBytes)")
            try require(
                root, found == expected, "extents", "PAY-7",
                "K and V of layers 0 to \(binding.layerCount - 1), \(root.tokenCount) rows each")
        } catch {
            stored.note(error, at: root.prefix.location)
        }
    }

    private struct Plane: Equatable {
        let layer: Int
        let kind: ExtentKind
        let rawBytes: UInt64
        let tokenCount: UInt32
    }

    private func require(
        _ record: PayloadRecord, _ condition: Bool, _ field: String, _ clause: String,
        _ expected: @autoclosure () -> String
    ) throws(LogError) {
        if condition { return }
        let location = record.prefix.location
        throw .format(
            FormatError(
                .corrupt, structure: "payloadHeader", field: field, clause: clause,
                expected: expected(), found: "another"),
            file: StoreFiles.segment(location.segment), offset: location.offset)
    }

    /// Opens a variant and compares all its payload with the digests, extent by extent; what is
    /// coded is decoded.
    func verify(_ entry: CheckpointEntry) async -> StoredVariant {
        var stored = await open(entry)
        for record in stored.records {
            for extent in record.header.extents {
                // One extent at a time, so that each damaged one is named.
                do throws(LogError) {
                    try await check(extent, of: record.header)
                } catch {
                    stored.note(error, at: record.location)
                }
            }
        }
        return stored
    }
}
