// Pinning what is there, and letting it go.

import ChunkDB
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Pinning what is there")
struct PinTests {
    private func machine(seed: UInt64) -> SimulatedMachine {
        var machine = SimulatedMachine(
            seed: seed, capacity: .mebibytes(4), segmentSize: .kibibytes(256))
        // What was not used of late goes, however often it was used before.
        machine.options.retentionPolicy = "lru"
        return machine
    }

    @Test(
        "P-5 E-2 it stays from then on, through reopenings; unpinned it goes",
        arguments: [false, true], [20, 300])
    func pins(isBare: Bool, tokenCount: Int) throws {
        let machine = machine(seed: 1)
        let chunk = TestChunk(1, tokenCount: tokenCount)
        let db = try machine.open()
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
            #expect(try await acme.pin(chunk.key(in: acme)) == false)
            try await chunk.put(in: acme)
            // By a put that asks for it, or by name.
            if isBare {
                #expect(try await chunk.put(in: acme, pinned: true) == .alreadyPresent)
            } else {
                #expect(try await acme.pin(chunk.key(in: acme)))
            }
            let entry = try #require(acme.contains(chunk.key(in: acme)))
            #expect(entry.isPinned)
            #expect(acme.statistics.pinnedBytes == entry.diskBytes)
            #expect(acme.statistics.storedBytes == entry.diskBytes)
            #expect(acme.statistics.inFlightBytes == 0)
            #expect(try await acme.pin(chunk.key(in: acme)))
            #expect(acme.contains(chunk.key(in: acme))?.extent == entry.extent, "no second copy")
            for owner in 100..<300 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 30).put(in: acme)
            }
            #expect(try await chunk.isIntact(in: acme) == true)
            await db.close()
        }
        let next = machine.afterRestart()
        if isBare { try next.run { () async throws in try await next.disk.unlink("checkpoint") } }
        let again = try next.open()
        #expect(again.recovery.damages == [])
        try next.run { () async throws in
            let acme = try #require(again.namespace("acme"))
            #expect(acme.contains(chunk.key(in: acme))?.isPinned == true)
            for owner in 300..<500 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 30).put(in: acme)
            }
            #expect(try await chunk.isIntact(in: acme) == true)
            #expect(try await acme.unpin(chunk.key(in: acme)))
            #expect(acme.statistics.pinnedBytes == 0)
            for owner in 500..<900 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 30).put(in: acme)
            }
            #expect(try await chunk.isIntact(in: acme) == nil)
            await again.close()
        }
    }

    @Test(
        "P-5 a writer, an accepted put and a batch owe it too",
        arguments: ["writer", "accepted", "batch"])
    func owed(by kind: String) throws {
        let machine = machine(seed: 3)
        let chunk = TestChunk(1, tokenCount: 20)
        let db = try machine.open()
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
            let key = chunk.key(in: acme)
            var writer = try await acme.beginPut(key, tokens: chunk.tokens, pinned: true)
            for (layer, planes) in chunk.layers(acme.binding).enumerated() {
                try await writer.append(layer: layer, keys: planes.keys, values: planes.values)
            }
            // Somebody else is first, and pins nothing.
            try await chunk.put(in: acme)
            switch kind {
            case "writer": #expect(try await writer.commit() == .alreadyPresent)
            case "accepted":
                #expect(try await writer.commit(durability: .accepted) == .alreadyPresent)
            default:
                var batch = db.batch()
                try batch.put(writer)
                #expect(try await batch.commit() == [.alreadyPresent])
            }
            let entry = try #require(acme.contains(key))
            #expect(entry.isPinned)
            #expect(acme.statistics.pinnedBytes == entry.diskBytes)
            #expect(acme.statistics.inFlightBytes == 0)
            #expect(try await chunk.isIntact(in: acme) == true)
            await db.close()
        }
    }

    @Test("E-2 beyond the bound it is refused, and stays as it was")
    func bound() throws {
        var machine = machine(seed: 2)
        machine.options.pinnedCapacity = .kibibytes(100)
        let db = try machine.open()
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in 0..<5 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 30).put(in: acme)
            }
            var pinnedCount = 0
            for owner in 0..<5 as Range<UInt64> {
                let key = TestChunk(owner, tokenCount: 30).key(in: acme)
                do throws(StoreError) {
                    try await acme.pin(key)
                    pinnedCount += 1
                } catch {
                    guard case .quotaExceeded(let facts) = error, facts.quota == .pinned else {
                        throw error
                    }
                    #expect(acme.contains(key)?.isPinned == false)
                }
            }
            #expect(pinnedCount == 2)
            #expect(acme.statistics.entryCount == 5 && acme.statistics.inFlightBytes == 0)
            await db.close()
        }
    }
}
