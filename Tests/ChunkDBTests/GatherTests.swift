// Rows of planes, gathered: the same bytes that `get` gives, for no more blocks than they lie in.

import ChunkDB
import ChunkFormat
import EngineTestSupport
import KVModel
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Gathered rows")
struct GatherTests {
    private static let tokenCount = 200
    private static let heads = 2
    private static let binding = smallBinding(layers: 3, heads: heads)
    private static var rowBytes: Int { binding.rowBytes(layer: 0) }

    private func machine(_ seed: UInt64, shift: UInt8 = 12) -> SimulatedMachine {
        // A variant of three records, so that its layers stand in several segments.
        var machine = SimulatedMachine(seed: seed, segmentSize: .kibibytes(256))
        machine.options.digestBlockShift = shift
        return machine
    }

    private func chunk(_ owner: UInt64) -> TestChunk {
        TestChunk(owner, tokenCount: Self.tokenCount, isRegular: owner == 2)
    }

    /// What the rows of a selection are, from the chunk's own planes.
    private func rows(_ selection: RowSelection, of chunk: TestChunk) -> [UInt8] {
        let planes = chunk.layers(Self.binding)[selection.layer]
        let plane = selection.kind == .keys ? planes.keys : planes.values
        let headBytes = Self.rowBytes / Self.heads
        let heads = selection.heads ?? 0..<Self.heads
        return selection.tokens.flatMap { token in
            let first = token * Self.rowBytes + heads.lowerBound * headBytes
            return plane[first..<first + heads.count * headBytes]
        }
    }

    @Test(
        "are those of the planes, in the order asked for, whatever else is asked for",
        arguments: 0..<40 as Range<UInt64>)
    func random(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let machine = machine(seed, shift: [12, 13, 16].randomElement(using: &generator)!)
        let verification: Verification = seed.isMultiple(of: 3) ? .unverified : .verified
        var wanted: [(owner: UInt64, selections: [RowSelection])] = []
        for _ in 0..<Int.random(in: 1...5, using: &generator) {
            let selections = (0..<Int.random(in: 0...4, using: &generator)).map { _ in
                RowSelection(
                    layer: Int.random(in: 0..<3, using: &generator),
                    Bool.random(using: &generator) ? .keys : .values,
                    tokens: (0..<Int.random(in: 0...30, using: &generator)).map { _ in
                        Int.random(in: 0..<Self.tokenCount, using: &generator)
                    },
                    heads: [nil, 0..<1, 1..<2, 0..<2].randomElement(using: &generator)!)
            }
            wanted.append((UInt64.random(in: 0..<4, using: &generator), selections))
        }
        let db = try machine.open()
        let requests = wanted
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: Self.binding)
            // The fourth is a miss.
            for owner in 0..<3 as Range<UInt64> {
                // Half of the stores hold coded planes beside raw ones.
                let isCoded = seed % 4 < 2 && owner > 0
                try await chunk(owner).put(
                    in: space, codec: isCoded ? .bytePlanesLZ4 : .raw)
            }
            let gathered = try await space.gather(
                requests.map { ChunkRows(chunk($0.owner).key(in: space), $0.selections) },
                verification: verification)
            var rowBytes = 0
            for (index, (owner, selections)) in requests.enumerated() {
                #expect(gathered.contains(chunk: index) == (owner < 3))
                for (place, selection) in selections.enumerated() {
                    let found = gathered.rows(chunk: index, selection: place)
                    guard owner < 3 else {
                        #expect(found == nil)
                        continue
                    }
                    let expected = rows(selection, of: chunk(owner))
                    #expect(found == expected, "chunk \(owner), \(selection)")
                    rowBytes += expected.count
                }
            }
            #expect(gathered.rowBytes == rowBytes)
            await db.close()
        }
    }

    @Test("each block is read once, and neighbours are one request")
    func blocks() throws {
        let machine = machine(1)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: Self.binding)
            let one = TestChunk(1, tokenCount: 64)
            try await one.put(in: space)
            let key = one.key(in: space)
            // Its header is known from now on.
            _ = try await space.get(key, layers: 0..<1)
            func gathered(_ tokens: [Int], _ verification: Verification = .verified) async throws
                -> [Int]
            {
                let before = db.diskCounters
                let rows = try await space.gather(
                    [ChunkRows(key, [RowSelection(layer: 0, .keys, tokens: tokens)])],
                    verification: verification)
                #expect(db.diskCounters.readBytes - before.readBytes == UInt64(rows.readBytes))
                return [rows.readBytes, rows.requestCount]
            }
            // Eight rows of 512 bytes fill a block of 4 KiB, eight blocks the plane.
            #expect(try await gathered([]) == [0, 0])
            #expect(try await gathered([3]) == [4_096, 1])
            #expect(try await gathered([7, 0, 3, 3]) == [4_096, 1])
            #expect(try await gathered([8, 7]) == [8_192, 1])
            #expect(try await gathered([40, 0]) == [8_192, 2])
            #expect(try await gathered(Array((0..<64).reversed())) == [32_768, 1])
            #expect(try await gathered([0, 16, 9]) == [12_288, 1])
            // The last block of the keys and the first of the values are neighbours on the disk.
            let both = try await space.gather(
                [
                    ChunkRows(
                        key,
                        [
                            RowSelection(layer: 0, .values, tokens: [1]),
                            RowSelection(layer: 0, .keys, tokens: [63]),
                        ])
                ])
            #expect([both.readBytes, both.requestCount] == [8_192, 1])
            await db.close()
        }
    }

    @Test("unverified, a row costs its unit and is counted; verified, its digest block")
    func unverified() throws {
        let machine = machine(2, shift: 16)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: Self.binding)
            try await chunk(1).put(in: space)
            let wanted = [
                ChunkRows(
                    chunk(1).key(in: space), [RowSelection(layer: 1, .values, tokens: [150])])
            ]
            let before = db.counters
            let verified = try await space.gather(wanted)
            #expect(verified.readBytes == 36_864, "the second of two blocks, 64 KiB and the rest")
            let unverified = try await space.gather(wanted, verification: .unverified)
            #expect(unverified.readBytes == 4_096)
            let same = unverified.rows(chunk: 0, selection: 0)
            #expect(verified.rows(chunk: 0, selection: 0) == same)
            #expect(db.counters.verifiedBytes - before.verifiedBytes == 36_864)
            #expect(db.counters.unverifiedBytes - before.unverifiedBytes == 4_096)
            await db.close()
        }
    }

    @Test("N-1 damage in a block that is read is told, and in another one is not met")
    func damage() throws {
        let machine = machine(3)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: Self.binding)
            try await chunk(1).put(in: space)
            let key = chunk(1).key(in: space)
            let located = try #require(try await space.locate(key))
            #expect(Set(located.extents.map(\.file)).count == 3)
            let extent = try #require(located.extent(layer: 2, .keys))
            // A byte of token 100's row.
            let place = Int(extent.fileOffset) + 100 * Self.rowBytes + 5
            let byte = rows(RowSelection(layer: 2, .keys, tokens: [100]), of: chunk(1))[5]
            let name = try #require(
                (0..<8).map { StoreFiles.segment(SegmentID($0)) }.first { name in
                    machine.disk.fileNames.contains(name)
                        && machine.disk.bytes(of: name, place..<place + 1) == [byte]
                })
            machine.disk.flip(name, byte: place, bit: 2)
            func gather(_ token: Int, _ verification: Verification = .verified) async throws
                -> [UInt8]?
            {
                try await space.gather(
                    [ChunkRows(key, [RowSelection(layer: 2, .keys, tokens: [token])])],
                    verification: verification
                ).rows(chunk: 0, selection: 0)
            }
            let sound = RowSelection(layer: 2, .keys, tokens: [20])
            #expect(try await gather(20) == rows(sound, of: chunk(1)))
            do {
                _ = try await gather(100)
                Issue.record("handed over")
            } catch StoreError.damaged(let facts) {
                #expect(facts.key == key)
            }
            let rotten = RowSelection(layer: 2, .keys, tokens: [100])
            #expect(try await gather(100, .unverified) != rows(rotten, of: chunk(1)))
            await db.close()
        }
    }

    @Test("what the model or the chunk does not have is refused by name")
    func badInput() throws {
        let machine = machine(4)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: Self.binding)
            try await chunk(1).put(in: space)
            let key = chunk(1).key(in: space)
            for (selection, what) in [
                (RowSelection(layer: 3, .keys, tokens: [0]), "layer"),
                (RowSelection(layer: -1, .keys, tokens: [0]), "layer"),
                (RowSelection(layer: 0, .sidecar, tokens: [0]), "kind of a plane"),
                (RowSelection(layer: 0, .keys, tokens: [0, Self.tokenCount]), "token"),
                (RowSelection(layer: 0, .keys, tokens: [-1]), "token"),
                (RowSelection(layer: 0, .keys, tokens: [.max]), "token"),
                (RowSelection(layer: 0, .keys, tokens: [0], heads: 1..<3), "heads"),
                (RowSelection(layer: 0, .keys, tokens: [0], heads: 1..<1), "heads"),
                (RowSelection(layer: 0, .keys, tokens: [0], heads: -1..<1), "heads"),
            ] {
                do {
                    _ = try await space.gather([ChunkRows(key, [selection])])
                    Issue.record("taken: \(selection)")
                } catch StoreError.shape(let found, _, _) {
                    #expect(found == what)
                }
            }
            let empty = try await space.gather([])
            #expect(empty.readBytes == 0)
            await db.close()
        }
    }
}
