// What a full store owes to puts that are large, to files that reopenings left short, and to a
// device that fails while it cleans.

import ChunkDB
import EngineTestSupport
import Glibc
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Puts on a full store")
struct FullStoreTests {
    @Test("chunks of several segments come and go, whole or not at all", arguments: [100, 190])
    func large(tokenCount: Int) throws {
        let machine = SimulatedMachine(
            seed: 1, capacity: .mebibytes(2), segmentSize: .kibibytes(128))
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 3))
            for owner in 0..<40 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: tokenCount).put(in: space)
                let isIntact = try await TestChunk(owner, tokenCount: tokenCount)
                    .isIntact(in: space)
                #expect(isIntact == true, "\(owner)")
            }
            #expect(db.counters.evictedCount > 20)
            await db.close()
        }
        for isBare in [false, true] {
            let next = machine.afterRestart()
            if isBare {
                try next.run { () async throws in try await next.disk.unlink("checkpoint") }
            }
            let again = try next.open()
            #expect(again.recovery.damages == [])
            try next.run { () async throws in
                let space = try #require(again.namespace("acme"))
                for owner in 0..<40 as Range<UInt64> {
                    let isIntact = try await TestChunk(owner, tokenCount: tokenCount)
                        .isIntact(in: space)
                    #expect(isIntact != false, "\(owner)")
                }
                await again.close()
            }
        }
    }

    @Test("short files that reopenings left make room for a whole segment again")
    func shortFiles() throws {
        var machine = SimulatedMachine(
            seed: 2, capacity: .mebibytes(2), segmentSize: .kibibytes(256))
        for session in 0..<40 as Range<UInt64> {
            let db = try machine.open()
            try machine.run { () async throws in
                let space = try await db.namespace("acme", model: smallBinding(layers: 2))
                try await TestChunk(session, tokenCount: 40).put(in: space)
                await db.close()
            }
            machine = machine.afterRestart()
        }
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try #require(db.namespace("acme"))
            for owner in 100..<110 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 190).put(in: space)
                let isIntact = try await TestChunk(owner, tokenCount: 190).isIntact(in: space)
                #expect(isIntact == true)
            }
            let counters = await db.logCounters()
            #expect(counters.allocatedBytes <= (2 << 20) + (128 << 10))
            await db.close()
        }
    }

    @Test("O-4 a copy that cannot be written degrades the store, and takes nothing")
    func failedCopy() throws {
        for seed in 1...30 as ClosedRange<UInt64> {
            let machine = SimulatedMachine(
                seed: seed, capacity: .mebibytes(2), segmentSize: .kibibytes(128))
            let db = try machine.open()
            try machine.run { () async throws in
                let space = try await db.namespace("acme", model: smallBinding(layers: 2))
                func put(_ owner: UInt64, pinned: Bool) async throws(StoreError) {
                    let chunk = TestChunk(owner, tokenCount: 20)
                    var writer = try await space.beginPut(
                        chunk.key(in: space), tokens: chunk.tokens, pinned: pinned)
                    for (layer, planes) in chunk.layers(space.binding).enumerated() {
                        try await writer.append(
                            layer: layer, keys: planes.keys, values: planes.values)
                    }
                    _ = try await writer.commit()
                }
                for owner in 0..<40 as Range<UInt64> { try await put(owner, pinned: owner < 6) }
                machine.disk.fail(
                    .write, number: Int(seed) * 7, errorNumber: EIO, forever: true)
                var refusal: StoreError?
                for owner in 100..<400 as Range<UInt64> where refusal == nil {
                    do throws(StoreError) { try await put(owner, pinned: false) } catch {
                        refusal = error
                    }
                }
                #expect(refusal != nil)
                // Whichever write it was: the store says so from now on, and reads go on.
                await #expect(throws: StoreError.self) { try await put(500, pinned: false) }
                for owner in 0..<6 as Range<UInt64> {
                    let isIntact = try await TestChunk(owner, tokenCount: 20).isIntact(in: space)
                    #expect(isIntact == true, "seed \(seed), \(owner)")
                }
                await db.close()
            }
            machine.disk.clearFailures()
            let next = machine.afterRestart()
            let again = try next.open()
            #expect(again.recovery.damages == [], "seed \(seed)")
            try next.run { () async throws in
                let space = try #require(again.namespace("acme"))
                for owner in 0..<6 as Range<UInt64> {
                    let isIntact = try await TestChunk(owner, tokenCount: 20).isIntact(in: space)
                    #expect(isIntact == true, "seed \(seed), \(owner)")
                }
                await again.close()
            }
        }
    }
}
