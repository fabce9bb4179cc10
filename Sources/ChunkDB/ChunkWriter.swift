// A put in progress: layers come one after the other, go to disk, and are digested while the next
// are computed. Nothing is visible before `commit`; a writer that ends without it leaves nothing
// but dead bytes that cleaning returns.

import BSkiplist
import BlockIO
import ChunkFormat
import KVModel
import Primitives
import SegmentLog

public struct ChunkWriter: ~Copyable {
    /// Writes on their way at once, per put.
    static let writeDepth = 8

    let namespace: Namespace
    let key: ChunkKey
    let context: PrefixContext
    let tokens: [UInt32]
    let identity: HashDomain
    let retention: RetentionKind
    let isReplacing: Bool
    /// When the chunk ends, seconds since 1970; 0 for never.
    let expirySeconds: UInt64
    let plan: VariantPlan
    /// By layer and type, as the plan has them.
    let sidecars: [Sidecar]
    let ticket: PutTicket
    let reservations: [Reservation]
    let writes = InFlightWrites()
    private(set) var nextLayer = 0
    private var recordIndex = 0
    private var digests: [[Digest128]]
    /// What is staged and has no digests yet: while the device is idle it gets its bytes first.
    private var undigested: [(bytes: [UInt8], paddedBytes: Int)] = []
    /// An `append` was cancelled within a layer: no commit can follow.
    private(set) var isCancelled = false
    private var staging: StagingBuffer?
    /// Where the first byte of `staging` will stand in its segment.
    private var stagingOffset: UInt64 = 0

    init(
        namespace: Namespace, key: ChunkKey, context: PrefixContext, tokens: [UInt32],
        identity: HashDomain, retention: RetentionKind, isReplacing: Bool, expirySeconds: UInt64,
        plan: VariantPlan, sidecars: [Sidecar],
        ticket: PutTicket, reservations: [Reservation]
    ) {
        self.namespace = namespace
        self.key = key
        self.context = context
        self.tokens = tokens
        self.identity = identity
        self.retention = retention
        self.isReplacing = isReplacing
        self.expirySeconds = expirySeconds
        self.plan = plan
        self.sidecars = sidecars
        self.ticket = ticket
        self.reservations = reservations
        digests = plan.records.map { _ in [] }
    }

    /// Appends the next layer's planes: `[token][kv head][dim]`, `tokenCount` × row bytes each.
    ///
    /// The bytes are copied once, into staging; the call returns while they are on their way. The
    /// arrays themselves may be kept until the staged MiB is.
    /// *Throws:* `.shape` when layer or size is not what the binding says; nothing was taken then.
    /// `.cancelled` when the caller's task is; the writer is of no use afterwards.
    public mutating func append(layer: Int, keys: [UInt8], values: [UInt8])
        async throws(StoreError)
    {
        try core.gate.enter()
        defer { core.gate.leave() }
        try requireSound()
        try requireShape(layer: layer, keyBytes: keys.count, valueBytes: values.count)
        try await appendStored(layer: layer, keys: keys, values: values)
    }

    /// Appends the next layer's planes in the form in which they will stand.
    mutating func appendStored(layer: Int, keys: [UInt8], values: [UInt8])
        async throws(StoreError)
    {
        let rows = planeRows(layer..<layer + 1)
        for (bytes, row) in zip([keys, values], rows) { try await append(bytes, row) }
        try await finishLayers(before: layer + 1)
    }

    /// Appends the next layer's planes from the caller's own buffers, which go to the disk without
    /// a copy: each is as long as its extent, rows first, then zeros up to the alignment unit.
    public mutating func append(
        layer: Int, keys: consuming AlignedBuffer, values: consuming AlignedBuffer
    ) async throws(StoreError) {
        try core.gate.enter()
        defer { core.gate.leave() }
        try requireSound()
        let padded = paddedBytes(layer: layer)
        try requireShape(
            layer: layer, keyBytes: keys.byteCount, valueBytes: values.byteCount,
            expected: padded)
        try requireAlignment(keys)
        try requireAlignment(values)
        try requireZeroPadding(keys, 0..<padded, layer: layer, "keys of layer \(layer)")
        try requireZeroPadding(values, 0..<padded, layer: layer, "values of layer \(layer)")
        flushStaging()
        let rows = planeRows(layer..<layer + 1)
        _ = try await submit(keys, from: 0, rows.prefix(1))
        _ = try await submit(values, from: 0, rows.suffix(1))
        try await finishLayers(before: layer + 1)
    }

    /// Appends whole layers from one buffer of the caller's, as who keeps a chunk's layers side by
    /// side has them: it goes to the disk without a copy, in few large writes. For each layer in
    /// turn it holds the key plane and the value plane, each with zeros behind it up to the
    /// alignment unit. The memory is given back when its last write has ended.
    ///
    /// *Complexity:* one write a record, which the ring divides, and an engine of threads does not;
    /// digests are taken meanwhile.
    /// *Throws:* `.shape` when layers, size, address or padding are not so; nothing was taken then.
    /// `.cancelled` when the caller's task is; the writer is of no use afterwards.
    public mutating func append(layers: Range<Int>, planes: consuming AlignedBuffer)
        async throws(StoreError)
    {
        try core.gate.enter()
        defer { core.gate.leave() }
        try requireSound()
        try requireShape(layers: layers, planes)
        flushStaging()
        var offset = 0
        while nextLayer < layers.upperBound {
            let end = min(layers.upperBound, record.layers.upperBound)
            offset += try await submit(planes, from: offset, planeRows(nextLayer..<end))
            try await finishLayers(before: end)
        }
    }

    /// Makes the chunk visible.
    ///
    /// *Durability:* as asked for when this returns, or better; of a variant that was there before
    /// too, which is pinned if this one was to be. An `accepted` chunk becomes durable with the
    /// next durable operation or `barrier`.
    /// - Parameters:
    ///   - recompute: see `Namespace.put`.
    ///   - detail: must fit the room that `beginPut` was asked for.
    ///   - durability: what to wait for.
    /// *Returns:* `.alreadyPresent` when the variant was there; its bytes stay (CONTRACT P-5).
    /// *Throws:* `.cancelled` when the caller's task is; the commit then goes on unwatched, unless
    /// it had been cancelled before.
    public consuming func commit(
        recompute: RecomputeMetadata? = nil, detail: VariantDetail = VariantDetail(),
        durability: Durability = .durable
    ) async throws(StoreError) -> CommitOutcome {
        let core = core
        let put = try finishInside(recompute, detail)
        return try await core.carryOut { () async throws(StoreError) -> CommitOutcome in
            durability == .accepted && !put.isReplacing
                ? try await put.commitLater() : try await put.commit(durability)
        }
    }

    private consuming func finishInside(
        _ recompute: RecomputeMetadata?, _ detail: VariantDetail
    ) throws(StoreError) -> FinishedPut {
        if Task.isCancelled { throw .cancelled }
        let core = core
        try core.gate.enter()
        defer { core.gate.leave() }
        return try finish(recompute, detail)
    }

    /// Sends what is left of the bytes.
    consuming func finish(
        _ recompute: RecomputeMetadata?, _ detail: VariantDetail
    ) throws(StoreError) -> FinishedPut {
        try requireSound()
        guard nextLayer == namespace.binding.layerCount else {
            throw .shape(
                what: "layers put", expected: "\(namespace.binding.layerCount)",
                found: "\(nextLayer)")
        }
        flushStaging()
        let metadata = try encodeMetadata(recompute, detail)
        let members = submitHeaders(metadata: metadata)
        let entry = CheckpointEntry(
            namespace: namespace.id, key: key, variant: context.variantID,
            location: reservations[0].location,
            headerBytes: UInt32(plan.records[0].headerBytes),
            variantDiskBytes: plan.diskBytes,
            tokenCount: UInt32(tokens.count),
            flags: (retention == .pinned ? CheckpointEntry.pinnedFlag : 0)
                + (plan.records.count > 1 ? CheckpointEntry.siblingsFlag : 0), ordinal: .max,
            expirySeconds: core.log.superblock.age(at: expirySeconds))
        return FinishedPut(
            namespace: namespace, entry: entry, members: members, ticket: ticket,
            holds: reservations.map(\.hold), writes: writes,
            isReplacing: isReplacing)
    }
}

// MARK: Bytes on their way

extension ChunkWriter {
    private var reservation: Reservation { reservations[recordIndex] }
    private var record: RecordPlan { plan.records[recordIndex] }

    /// Keys and values of each; the layers are of the record at hand.
    private func planeRows(_ layers: Range<Int>) -> ArraySlice<ExtentRow> {
        let first = record.layers.lowerBound
        return record.extents[(layers.lowerBound - first) * 2..<(layers.upperBound - first) * 2]
    }

    /// Copies one extent and its padding into staging; full buffers leave for the disk.
    private mutating func append(_ bytes: [UInt8], _ row: ExtentRow) async throws(StoreError) {
        let unit = namespace.core.log.superblock.alignmentUnit
        let padded = Int(row.paddedBytes(unit: unit))
        if staging == nil {
            stagingOffset = reservation.location.offset + row.offset
        }
        undigested.append((bytes, padded))
        if !writes.isEmpty { digestStaged() }
        var copied = 0
        while copied < padded {
            if staging == nil {
                try await waitForWrites(below: Self.writeDepth)
                staging = namespace.core.staging.take()
            }
            let buffer = staging!
            if copied < bytes.count {
                copied += unsafe bytes.withUnsafeBytes { all in
                    unsafe buffer.append(UnsafeRawBufferPointer(rebasing: all[copied...]))
                }
            } else {
                let zeros = min(padded - copied, buffer.freeBytes)
                buffer.appendZeros(zeros)
                copied += zeros
            }
            if buffer.freeBytes == 0 { flushStaging() }
        }
        namespace.core.count { $0.copiedBytes += UInt64(bytes.count) }
    }

    /// Sends what is staged; whole units, since planes are padded.
    private mutating func flushStaging() {
        if let buffer = staging {
            staging = nil
            let pool = namespace.core.staging
            let slice = buffer.slice
            writes.start(
                namespace.core.disk, reservation.handle.file, at: stagingOffset,
                slice.holding(reservation.hold)
            ) {
                pool.give(buffer)
            }
            stagingOffset += UInt64(slice.byteCount)
        }
        digestStaged()
    }

    private mutating func digestStaged() {
        for (bytes, paddedBytes) in undigested {
            digests[recordIndex] += PlaneDigests.make(
                bytes, paddedTo: paddedBytes, blockBytes: digestBlockBytes)
        }
        undigested.removeAll(keepingCapacity: true)
    }

    private var digestBlockBytes: Int { 1 << Int(namespace.core.options.digestBlockShift) }

    /// Sends neighbouring extents, which stand side by side in the buffer too, as one write.
    /// *Returns:* its bytes.
    private mutating func submit(
        _ buffer: borrowing AlignedBuffer, from start: Int, _ rows: ArraySlice<ExtentRow>
    ) async throws(StoreError) -> Int {
        let unit = core.log.superblock.alignmentUnit
        let byteCounts = rows.map { Int($0.paddedBytes(unit: unit)) }
        let byteCount = byteCounts.reduce(0, +)
        let used = rows.reduce(0) { $0 + $1.storedBytes }
        core.count { $0.uncopiedBytes += used }
        try await waitForWrites(below: Self.writeDepth)
        // The slice's owner keeps the memory; its last name ends with the caller.
        writes.start(
            core.disk, reservation.handle.file,
            at: reservation.location.offset + rows.first!.offset,
            buffer.slice.slice(offset: start, byteCount: byteCount).holding(reservation.hold),
            done: {})
        var offset = start
        for byteCount in byteCounts {
            digests[recordIndex] += unsafe buffer.withBytes { bytes in
                // SAFETY: the extents fill the slice, which is inside the buffer.
                unsafe ExtentDigests.make(
                    UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + byteCount]),
                    blockBytes: digestBlockBytes)
            }
            offset += byteCount
        }
        return byteCount
    }

    private mutating func finishLayers(before end: Int) async throws(StoreError) {
        nextLayer = end
        guard end == record.layers.upperBound else { return }
        let rows = record.extents.filter { $0.kind == .sidecar }
        let sidecars = sidecars.filter { record.layers.contains($0.layer) }
        for (sidecar, row) in zip(sidecars, rows) { try await append(sidecar.bytes, row) }
        if recordIndex + 1 < plan.records.count {
            flushStaging()
            recordIndex += 1
        }
    }

    private mutating func waitForWrites(below limit: Int) async throws(StoreError) {
        do throws(StoreError) {
            try await namespace.wait(for: writes, below: limit)
        } catch {
            if error == .cancelled { isCancelled = true }
            throw error
        }
    }

    /// Sends all header regions, the first record's last since it names the others' seals.
    private func submitHeaders(metadata: [UInt8]) -> [CommitMember] {
        var siblings: [SiblingRow] = []
        var members: [CommitMember] = []
        for index in plan.records.indices.reversed() {
            let plan = plan.records[index]
            let place = reservations[index]
            let header = payloadRecord(
                index, siblings: index == 0 ? siblings : [], metadata: index == 0 ? metadata : [])
            let region = header.encode(key: place.handle.recordKey)
            var buffer = namespace.core.disk.makeBuffer(byteCount: region.bytes.count)
            unsafe buffer.withMutableBytes { unsafe $0.copyBytes(from: region.bytes) }
            writes.start(
                namespace.core.disk, place.handle.file, at: place.location.offset,
                buffer.slice.slice(offset: 0, byteCount: region.bytes.count).holding(place.hold),
                done: {})
            if index > 0 {
                siblings.insert(
                    SiblingRow(
                        location: place.location, headerBytes: UInt32(plan.headerBytes),
                        recordBytes: plan.recordBytes, layerFirst: UInt16(plan.layers.lowerBound),
                        layerCount: UInt16(plan.layers.count), seal: region.seal), at: 0)
            }
            members.insert(
                CommitMember(
                    kind: .payload, location: place.location,
                    headerBytes: UInt32(plan.headerBytes), recordBytes: plan.recordBytes,
                    seal: region.seal), at: 0)
        }
        return members
    }

    private func payloadRecord(_ index: Int, siblings: [SiblingRow], metadata: [UInt8])
        -> PayloadRecord
    {
        let plan = plan.records[index]
        let place = reservations[index]
        let binding = namespace.binding
        return PayloadRecord(
            prefix: RecordPrefix(
                kind: .payload, headerBytes: UInt32(plan.headerBytes),
                recordBytes: plan.recordBytes, writeSequence: place.writeSequence,
                location: place.location),
            namespace: namespace.id, key: key, variant: context.variantID,
            bindingDigest: namespace.bindingDigest, hashDomain: identity,
            keyForm: binding.keyForm, elementType: binding.elementType, retention: retention,
            tokenCount: UInt32(tokens.count), basePosition: UInt32(context.basePosition),
            layerFirst: UInt16(plan.layers.lowerBound), layerCount: UInt16(plan.layers.count),
            recordIndex: UInt16(index), recordCount: UInt16(self.plan.records.count),
            digestBlockShift: namespace.core.options.digestBlockShift,
            variantBytes: self.plan.variantBytes,
            createdSeconds: namespace.core.environment.clock.wallSeconds,
            expirySeconds: expirySeconds, extents: plan.extents, siblings: siblings,
            digests: digests[index], metadata: metadata)
    }
}
