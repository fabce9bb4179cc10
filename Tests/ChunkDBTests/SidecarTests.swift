// Small bytes beside the planes: read alone, many at once, and in nobody's way.

import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import KVModel
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Sidecars")
struct SidecarTests {
    private static let binding = smallBinding(layers: 3)

    @Test(
        "EXT-10 EXT-11 come back as they were put, by layer and type, also from several records",
        arguments: PlaceKind.all)
    func roundTrip(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        place.options.segmentSize = .kibibytes(256)
        // The second takes several records, one for a layer or two.
        let chunks = [TestChunk(1), TestChunk(2, tokenCount: 250), TestChunk(3), TestChunk(4)]
        for session in 0..<2 {
            try place.session { db in
                let space = try await db.namespace("acme", model: Self.binding)
                for (number, chunk) in chunks.prefix(3).enumerated() where session == 0 {
                    let sidecars = number == 2 ? [] : chunk.sidecars(layerCount: 3)
                    try await chunk.put(
                        in: space, codec: number == 0 ? .bytePlanesLZ4 : .raw,
                        sidecars: sidecars.reversed())
                }
                let keys = chunks.map { $0.key(in: space) }
                let located = try #require(try await space.locate(keys[1]))
                #expect(Set(located.extents.map(\.file)).count > 1)
                let found = try await space.sidecars(keys.map { SidecarRequest($0) })
                #expect(found[0] == chunks[0].sidecars(layerCount: 3))
                #expect(found[1] == chunks[1].sidecars(layerCount: 3))
                #expect(found[2] == [] && found[3] == nil)
                let some = try await space.sidecars([
                    SidecarRequest(keys[0], layers: 1..<3, types: [1]),
                    SidecarRequest(keys[1], layers: 0..<0), SidecarRequest(keys[1], types: [7]),
                    SidecarRequest(keys[0], layers: 1..<2),
                ])
                let first = chunks[0].sidecars(layerCount: 3)
                #expect(some == [[first[2], first[4]], [], [], [first[2], first[3]]])
                // Whoever does not ask sees nothing of them.
                for chunk in chunks.prefix(3) {
                    #expect(try await chunk.isIntact(in: space) == true)
                }
            }
        }
    }

    @Test("are read in one batch, without the planes, neighbours as one request")
    func batch() throws {
        try StorePlace(.simulated(seed: 9)).session { db in
            let space = try await db.namespace("acme", model: Self.binding)
            let chunks = (1...8).map { TestChunk($0, tokenCount: 64) }
            for chunk in chunks {
                try await chunk.put(in: space, sidecars: chunk.sidecars(layerCount: 3))
                // Its header is known from now on.
                _ = try await space.locate(chunk.key(in: space))
            }
            let before = db.diskCounters
            let found = try await space.sidecars(chunks.map { SidecarRequest($0.key(in: space)) })
            #expect(found.compactMap(\.self).joined().count == 8 * 6)
            // Six small ones a chunk, of a unit each.
            #expect(db.diskCounters.readBytes - before.readBytes == 8 * 6 * 4_096)
            #expect(db.diskCounters.readCount - before.readCount == 8)
        }
    }

    @Test("N-2 damage in one is told, and is nobody else's")
    func damage() throws {
        let place = StorePlace(.simulated(seed: 10))
        let chunk = TestChunk(1)
        try place.session { db in
            let space = try await db.namespace("acme", model: Self.binding)
            try await chunk.put(in: space, sidecars: chunk.sidecars(layerCount: 3))
        }
        let machine = try #require(place.machine)
        let wanted = chunk.sidecars(layerCount: 3)[4].bytes
        let segment = StoreFiles.segment(SegmentID(0))
        let bytes = machine.disk.bytes(of: segment, 0..<256 << 10)
        let at = try #require(
            stride(from: 0, to: bytes.count, by: 4_096).first {
                Array(bytes[$0..<$0 + wanted.count]) == wanted
            })
        machine.disk.flip(segment, byte: at + 7, bit: 1)
        try place.session { db in
            let space = try #require(db.namespace("acme"))
            let key = chunk.key(in: space)
            #expect(try await chunk.isIntact(in: space) == true)
            let others = try await space.sidecars([SidecarRequest(key, layers: 0..<2)])
            #expect(others == [Array(chunk.sidecars(layerCount: 3).prefix(4))])
            // What was not handed over was no use.
            let gets = db.counters.getCount
            do throws(StoreError) {
                _ = try await space.sidecars([SidecarRequest(key)])
                Issue.record("handed over")
            } catch {
                #expect(db.counters.getCount == gets)
                guard case .damaged(let facts) = error else { throw error }
                #expect(facts.key == key && facts.cause.field.contains("sidecar"))
            }
        }
    }

    @Test("of no bytes, of no layer, or two of a type are refused, and nothing is written")
    func refused() throws {
        try StorePlace(.simulated(seed: 11)).session { db in
            let space = try await db.namespace("acme", model: Self.binding)
            let one = Sidecar(layer: 0, type: 1, bytes: [1])
            for wrong in [
                [Sidecar(layer: 0, type: 1, bytes: [])], [Sidecar(layer: 3, type: 1, bytes: [1])],
                [Sidecar(layer: -1, type: 1, bytes: [1])], [one, one],
            ] {
                do throws(StoreError) {
                    try await TestChunk(1).put(in: space, sidecars: wrong)
                    Issue.record("taken: \(wrong)")
                } catch {
                    guard case .shape = error else { throw error }
                }
            }
            #expect(space.entryCount == 0)
            try await TestChunk(1).put(
                in: space, sidecars: [one, Sidecar(layer: 0, type: 2, bytes: [1])])
        }
    }
}
