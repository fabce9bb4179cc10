// What a store may take on the medium, what it takes, and what is said when there is no more.

import ChunkDB
import EngineTestSupport
import KVModel
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("The budget of a store")
struct BudgetTests {
    @Test("the budget is exact: what does not fit is refused, and nothing is lost")
    func capacity() throws {
        let budget = ByteCount.mebibytes(2)
        var machine = SimulatedMachine(seed: 6, capacity: budget, segmentSize: .kibibytes(256))
        machine.options.evicts = false
        let db = try machine.open()
        let stored = try machine.run { () async throws -> [UInt64] in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            var stored: [UInt64] = []
            var refused = 0
            for owner in 0..<200 as Range<UInt64> {
                do {
                    try await TestChunk(owner, tokenCount: 40).put(in: space)
                    stored.append(owner)
                } catch StoreError.log(.capacityExceeded(let needed, let available)) {
                    #expect(needed > available)
                    #expect(space.contains(TestChunk(owner, tokenCount: 40).key(in: space)) == nil)
                    refused += 1
                }
                let counters = await db.logCounters()
                #expect(counters.allocatedBytes <= budget.bytes, "\(owner)")
                if refused == 5 { break }
            }
            #expect(refused == 5)
            // Refusing ends no segment: a smaller chunk may still fit, and removals go on.
            for owner in stored {
                #expect(try await TestChunk(owner, tokenCount: 40).isIntact(in: space) == true)
            }
            for owner in stored.prefix(5) {
                try await space.remove(TestChunk(owner, tokenCount: 40).key(in: space))
            }
            // The same key again is not "already present" after a refusal.
            await #expect(throws: StoreError.self) {
                for _ in 0..<3 {
                    try await TestChunk(900, tokenCount: 400).put(in: space)
                }
            }
            let counters = await db.logCounters()
            #expect(counters.allocatedBytes <= budget.bytes + (512 << 10) + (3 << 20))
            await db.close()
            return stored
        }
        #expect(stored.count > 20)
        let next = machine.afterRestart()
        let again = try next.open()
        try next.run { () async throws in
            let space = try #require(again.namespace("acme"))
            for (index, owner) in stored.enumerated() {
                let isIntact = try await TestChunk(owner, tokenCount: 40).isIntact(in: space)
                #expect(isIntact == (index < 5 ? nil : true))
            }
            #expect(again.recovery.damages.isEmpty)
            await again.close()
        }
    }

    @Test("a commit that failed for want of space leaves its key free")
    func failedCommitLeavesKeyFree() throws {
        let machine = SimulatedMachine(seed: 7, segmentSize: .kibibytes(80))
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 1))
            // Twenty units: header, two slots, namespace, slot, records of 3, 3, 5 and 3, slot.
            let chunks = [
                TestChunk(1), TestChunk(2), TestChunk(3, tokenCount: 32), TestChunk(4),
            ]
            func begun(_ chunk: TestChunk) async throws -> ChunkWriter {
                var writer = try await space.beginPut(chunk.key(in: space), tokens: chunk.tokens)
                let planes = chunk.layers(space.binding)[0]
                try await writer.append(layer: 0, keys: planes.keys, values: planes.values)
                return writer
            }
            let first = try await begun(chunks[0])
            let second = try await begun(chunks[1])
            let third = try await begun(chunks[2])
            let fourth = try await begun(chunks[3])
            #expect(try await first.commit() == .committed)
            #expect(try await second.commit() == .committed)
            #expect(try await third.commit() == .committed)
            // The use has no slot left, and the disk no room for another segment.
            machine.disk.fail(.allocate, number: 1, errorNumber: 28)
            do {
                _ = try await fourth.commit()
                Issue.record("committed without a slot")
            } catch StoreError.log(.capacityExceeded) {}
            #expect(space.contains(chunks[3].key(in: space)) == nil)
            // An answer, not a sickness: the same key can be put at once.
            #expect(try await chunks[3].put(in: space) == .committed)
            for chunk in chunks { #expect(try await chunk.isIntact(in: space) == true) }
            await db.close()
        }
    }

    @Test("P-6 a barrier tells of an accepted put that was withdrawn, once")
    func withdrawalIsTold() throws {
        let machine = SimulatedMachine(seed: 8, segmentSize: .kibibytes(80))
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 1))
            // Twenty units, as above: the fourth commit finds no slot, and no room for a segment.
            let chunks = [
                TestChunk(1), TestChunk(2), TestChunk(3, tokenCount: 32), TestChunk(4),
            ]
            var writers: [Int: ChunkWriterBox] = [:]
            for (index, chunk) in chunks.enumerated() {
                var writer = try await space.beginPut(chunk.key(in: space), tokens: chunk.tokens)
                let planes = chunk.layers(space.binding)[0]
                try await writer.append(layer: 0, keys: planes.keys, values: planes.values)
                writers[index] = ChunkWriterBox(writer)
            }
            for index in 0..<3 { _ = try await writers[index]!.take().commit() }
            machine.disk.fail(.allocate, number: 1, errorNumber: 28, forever: true)
            #expect(
                try await writers[3]!.take().commit(durability: .accepted) == .committed)
            await #expect(throws: StoreError.self) { try await db.barrier() }
            #expect(db.counters.withdrawnCount == 1)
            #expect(space.contains(chunks[3].key(in: space)) == nil)
            // Told, and everything else is durable.
            try await db.barrier()
            machine.disk.clearFailures()
            #expect(try await chunks[3].put(in: space) == .committed)
            await db.close()
        }
    }

    /// A writer in a collection.
    private final class ChunkWriterBox {
        private var writer: ChunkWriter?
        init(_ writer: consuming ChunkWriter) { self.writer = consume writer }
        func take() -> ChunkWriter { writer.take()! }
    }

    @Test("SEG-9 sixty openings of one put each cost a tenth above the live bytes at most")
    func space() throws {
        let machine = SimulatedMachine(
            seed: 8, capacity: .gibibytes(1), segmentSize: .mebibytes(64))
        var current = machine
        let binding = ModelBinding(
            name: "wide", weightsDigest: [UInt8](repeating: 1, count: 32),
            layers: [LayerGeometry(kvHeadCount: 8, headDimension: 128)], elementType: .float16,
            rotary: RotaryEmbedding(base: 10_000, dimension: 128))
        for round in 0..<60 as Range<UInt32> {
            let db = try current.open()
            try current.run { () async throws in
                let space = try await db.namespace("acme", model: binding)
                let tokens = (0..<256).map { UInt32($0) + round }
                let plane = flatPlane(UInt8(round), byteCount: 512 << 10)
                try await space.put(
                    space.key(tokens: tokens), tokens: tokens, layers: [(plane, plane)])
                await db.close()
            }
            current = current.afterRestart()
        }
        let disk = current.disk
        let allocated = disk.fileNames.reduce(0) { $0 + disk.fileByteCount($1) }
        #expect(Double(allocated) <= 1.1 * Double(60 << 20), "\(allocated)")
    }

    @Test("writes of pure inserts are the payload and one hundredth more at most")
    func writeAmplification() throws {
        let place = StorePlace(
            .simulated(seed: 9),
            options: StoreOptions(capacity: .gibibytes(1), segmentSize: .mebibytes(64)))
        try place.session { db in
            let binding = ModelBinding(
                name: "wide", weightsDigest: [UInt8](repeating: 1, count: 32),
                layers: (0..<4).map { _ in LayerGeometry(kvHeadCount: 8, headDimension: 128) },
                elementType: .float16, rotary: RotaryEmbedding(base: 10_000, dimension: 128))
            let space = try await db.namespace("acme", model: binding)
            let before = db.diskCounters.writtenBytes
            for round in 0..<4 as Range<UInt32> {
                let tokens = (0..<512).map { UInt32($0) + round }
                let plane = flatPlane(UInt8(round), byteCount: 1 << 20)
                try await space.put(
                    space.key(tokens: tokens), tokens: tokens,
                    layers: (0..<4).map { _ in (plane, plane) })
            }
            let written = Double(db.diskCounters.writtenBytes - before)
            #expect(written <= 1.01 * Double(32 << 20), "\(written / Double(32 << 20))")
        }
    }
}
