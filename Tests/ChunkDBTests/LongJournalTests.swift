// What removals cost for ever: nothing. The journals remember them as long as somebody needs it.

import ChunkDB
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Journals of a store that removes and keeps")
struct LongJournalTests {
    /// Pinned chunks fill the first segments, which are no victims then and hold the log's begin:
    /// without an end of these uses every removal since would have to be remembered.
    @Test(
        "JRN-14 D-1 what is kept for ever does not make removals pile up", arguments: [40, 65_536])
    func removals(commitsPerCheckpoint: UInt64) throws {
        var machine = SimulatedMachine(
            seed: 1, capacity: .mebibytes(8), segmentSize: .kibibytes(256))
        machine.options.commitsPerCheckpoint = commitsPerCheckpoint
        let db = try machine.open()
        let disk = machine.disk
        let pinned = (1_000_000..<1_000_020).map { TestChunk($0, tokenCount: 40) }
        let removedCount: UInt64 = 6_000
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for chunk in pinned {
                try await space.put(
                    chunk.key(in: space), tokens: chunk.tokens, layers: chunk.layers(space.binding),
                    pinned: true)
            }
            for owner in 0..<removedCount {
                let key = TestChunk(owner).key(in: space)
                try await space.remove(key, durability: .written)
            }
            // A fact takes about 70 bytes: 400 KiB are needed to remember them all.
            for name in StoreFiles.journals {
                #expect(disk.fileByteCount(name) <= 300 << 10, "\(disk.fileByteCount(name))")
            }
            for chunk in pinned { #expect(try await chunk.isIntact(in: space) == true) }
            #expect(await db.logCounters().freedCount > 10)
        }
        let next = machine.afterPowerCut(Survival(.all))
        let again = try next.open()
        try next.run { () async throws in
            #expect(again.recovery.damages == [])
            let space = try #require(again.namespace("acme"))
            for chunk in pinned { #expect(try await chunk.isIntact(in: space) == true) }
            #expect(space.entryCount == pinned.count)
            await again.close()
        }
    }
}
