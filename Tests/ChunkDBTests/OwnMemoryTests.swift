import BlockIO
import ChunkDB
import EngineTestSupport
import KVModel
import Primitives
import Testing

@Suite("Puts from memory of the caller's own")
struct OwnMemoryTests {
    @Test(
        "aligned buffers leave without a copy, arrays with one, and both are counted",
        arguments: PlaceKind.all)
    func zeroCopy(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        try place.session { db in
            let space = try await db.namespace("acme", model: oddBinding())
            let chunk = TestChunk(1, tokenCount: 40)  // 12,000 bytes a plane, 12,288 on disk.
            var writer = try await space.beginPut(chunk.key(in: space), tokens: chunk.tokens)
            for (layer, planes) in chunk.layers(space.binding).enumerated() {
                try await writer.append(
                    layer: layer, keys: padded(planes.keys), values: padded(planes.values))
            }
            #expect(try await writer.commit() == .committed)
            #expect(try await chunk.isIntact(in: space) == true)
            #expect(db.counters.uncopiedBytes == 4 * 12_000)
            #expect(db.counters.copiedBytes == 0)
            try await TestChunk(2, tokenCount: 40).put(in: space)
            #expect(db.counters.uncopiedBytes == 4 * 12_000)
            #expect(db.counters.copiedBytes == 4 * 12_000)
            // Both ways in one put.
            let mixed = TestChunk(3, tokenCount: 40)
            let layers = mixed.layers(space.binding)
            var other = try await space.beginPut(mixed.key(in: space), tokens: mixed.tokens)
            try await other.append(layer: 0, keys: layers[0].keys, values: layers[0].values)
            try await other.append(
                layer: 1, keys: padded(layers[1].keys), values: padded(layers[1].values))
            #expect(try await other.commit() == .committed)
            #expect(try await mixed.isIntact(in: space) == true)
        }
    }

    @Test(
        "layers side by side in one buffer leave in few writes, however they are divided",
        arguments: PlaceKind.all)
    func sideBySide(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        // 90,000 bytes a plane, 90,112 on disk: two layers a record.
        let binding = oddBinding(layers: 6)
        let pieces = [
            [0..<6], [0..<1, 1..<4, 4..<6], [0..<5, 5..<6], (0..<6).map { $0..<$0 + 1 },
        ]
        let chunks = pieces.indices.map { TestChunk(UInt64($0 + 1), tokenCount: 300) }
        try place.session { db in
            let space = try await db.namespace("acme", model: binding)
            for (chunk, pieces) in zip(chunks, pieces) {
                let sidecars = chunk.sidecars(layerCount: 6)
                var writer = try await space.beginPut(
                    chunk.key(in: space), tokens: chunk.tokens, sidecars: sidecars)
                let layers = chunk.layers(binding)
                let before = (db.diskCounters.writeCount, db.counters.uncopiedBytes)
                for piece in pieces {
                    try await writer.append(layers: piece, planes: sideBySide(layers[piece]))
                }
                #expect(db.counters.uncopiedBytes - before.1 == 12 * 90_000)
                #expect(try await writer.commit() == .committed)
                // Beside them: sidecars and a header for each of three records, and the commit.
                let written = Int(db.diskCounters.writeCount - before.0) - (3 + 3 + 1)
                #expect(written >= 3 && written < 2 * 6)
            }
            // Arrays, a buffer of two layers, two of one.
            let mixed = TestChunk(9, tokenCount: 300)
            let layers = mixed.layers(binding)
            var writer = try await space.beginPut(mixed.key(in: space), tokens: mixed.tokens)
            try await writer.append(layer: 0, keys: layers[0].keys, values: layers[0].values)
            try await writer.append(layers: 1..<3, planes: sideBySide(layers[1..<3]))
            try await writer.append(
                layer: 3, keys: padded(layers[3].keys), values: padded(layers[3].values))
            try await writer.append(layers: 4..<6, planes: sideBySide(layers[4...]))
            #expect(try await writer.commit() == .committed)
            #expect(try await mixed.isIntact(in: space) == true)
        }
        try place.session { db in
            let space = try #require(db.namespace("acme"))
            for chunk in chunks {
                #expect(try await chunk.isIntact(in: space) == true)
                let found = try await space.sidecars([SidecarRequest(chunk.key(in: space))])
                #expect(found == [chunk.sidecars(layerCount: 6)])
            }
            #expect(db.recovery.damages.isEmpty)
        }
    }

    @Test("layers side by side of another shape are refused, each way, and harm nothing")
    func otherShapes() throws {
        try StorePlace(.simulated(seed: 1)).session { db in
            let space = try await db.namespace("acme", model: oddBinding(layers: 3))
            let chunk = TestChunk(1, tokenCount: 10)  // 3,000 of 4,096 bytes.
            let layers = chunk.layers(space.binding)
            var writer = try await space.beginPut(chunk.key(in: space), tokens: chunk.tokens)
            try await Self.expectRefusal(
                &writer, 0..<0, AlignedBuffer(byteCount: 0), "no layer")
            try await Self.expectRefusal(
                &writer, 1..<3, sideBySide(layers[1...]), "a later layer")
            try await Self.expectRefusal(
                &writer, -1..<2, sideBySide(layers[...]), "a layer below the first")
            try await Self.expectRefusal(
                &writer, 0..<4, AlignedBuffer(byteCount: 32_768), "one too many")
            try await Self.expectRefusal(
                &writer, 0..<3, sideBySide(layers[0..<2]), "a short buffer")
            try await Self.expectRefusal(
                &writer, 0..<2, sideBySide(layers[...]), "a long buffer")
            for place in [3_000, 4_095, 7_096, 24_575] {
                var dirty = sideBySide(layers[...])
                dirty.withMutableBytes { $0[place] = 1 }
                try await Self.expectRefusal(
                    &writer, 0..<3, dirty, "dirty padding at \(place)")
            }
            try await Self.expectRefusal(
                &writer,
                0..<3, AlignedBuffer(storage: OffsetStorage(byteCount: 24_576)), "an odd address")
            try await writer.append(layers: 0..<3, planes: sideBySide(layers[...]))
            try await Self.expectRefusal(
                &writer, 0..<1, sideBySide(layers[0..<1]), "a layer twice")
            #expect(try await writer.commit() == .committed)
            #expect(try await chunk.isIntact(in: space) == true)
        }
    }

    private static func expectRefusal(
        _ writer: inout ChunkWriter, _ layers: Range<Int>, _ planes: consuming AlignedBuffer,
        _ why: String
    ) async throws {
        do {
            try await writer.append(layers: layers, planes: planes)
            Issue.record("\(why) was taken")
        } catch StoreError.shape {}
    }

    @Test("buffers that are not padded with zeros, or not aligned, are refused and harm nothing")
    func buffers() throws {
        let place = StorePlace(.simulated(seed: 1))
        try place.session { db in
            let space = try await db.namespace("acme", model: oddBinding(layers: 1))
            let chunk = TestChunk(1, tokenCount: 10)  // 3,000 of 4,096 bytes.
            var writer = try await space.beginPut(chunk.key(in: space), tokens: chunk.tokens)
            var dirty = AlignedBuffer(byteCount: 4_096)
            dirty.withMutableBytes { $0[4_000] = 1 }
            do {
                try await writer.append(
                    layer: 0, keys: dirty, values: AlignedBuffer(byteCount: 4_096))
                Issue.record("dirty padding was taken")
            } catch StoreError.shape {}
            do {
                try await writer.append(
                    layer: 0, keys: AlignedBuffer(byteCount: 3_000),
                    values: AlignedBuffer(byteCount: 4_096))
                Issue.record("a short buffer was taken")
            } catch StoreError.shape {}
            do {
                // Two of them 16 bytes apart cannot both be aligned to 4,096.
                let storage = OffsetStorage(byteCount: 4_096)
                try await writer.append(
                    layer: 0, keys: AlignedBuffer(storage: storage),
                    values: AlignedBuffer(byteCount: 4_096))
                Issue.record("an unaligned buffer was taken")
            } catch StoreError.shape {}
            try await chunk.put(in: space)
            #expect(try await chunk.isIntact(in: space) == true)
        }
    }

    /// Zeros that begin 16 bytes behind a boundary.
    private final class OffsetStorage: BufferStorage, @unchecked Sendable {
        private let memory: UnsafeMutableRawPointer
        init(byteCount: Int) {
            memory = .allocate(byteCount: byteCount + 4_096, alignment: 4_096)
            memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount + 4_096)
            super.init(pooled: memory + 16, byteCount: byteCount, registration: nil)
        }
        deinit { memory.deallocate() }
    }

    private func padded(_ bytes: [UInt8]) -> AlignedBuffer {
        var buffer = AlignedBuffer(byteCount: aligned(bytes.count, to: 4_096))
        buffer.withMutableBytes { $0.copyBytes(from: bytes) }
        return buffer
    }

    private func sideBySide(_ layers: ArraySlice<(keys: [UInt8], values: [UInt8])>)
        -> AlignedBuffer
    {
        let planes = layers.flatMap { [$0.keys, $0.values] }
        let stride = aligned(planes[0].count, to: 4_096)
        var buffer = AlignedBuffer(byteCount: planes.count * stride)
        for (index, plane) in planes.enumerated() {
            buffer.withMutableBytes { bytes in
                UnsafeMutableRawBufferPointer(rebasing: bytes[(index * stride)...])
                    .copyBytes(from: plane)
            }
        }
        return buffer
    }
}
