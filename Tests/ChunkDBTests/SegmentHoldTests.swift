// Who reads a chunk that is being forgotten still gets its bytes, and the segment waits.

import ChunkDB
import ChunkFormat
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Holds on segments")
struct SegmentHoldTests {
    @Test("JRN-13 G-3 N-9 what was located stays readable while the store turns over")
    func located() throws {
        let machine = SimulatedMachine(
            seed: 3, capacity: .mebibytes(3), segmentSize: .kibibytes(256))
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            var located: [LocatedChunk] = []
            var refusal: StoreError?
            // Whatever is written is held, until nothing can be used again.
            for owner in 1..<200 as Range<UInt64> where refusal == nil {
                let chunk = TestChunk(owner, tokenCount: 100)
                do throws(StoreError) {
                    try await chunk.put(in: space)
                    located.append(try await space.locate(chunk.key(in: space))!)
                } catch {
                    refusal = error
                }
            }
            guard case .log(.capacityExceeded)? = refusal else {
                Issue.record("\(String(describing: refusal))")
                return
            }
            let counters = await db.logCounters()
            #expect(counters.freeSegmentCount > 0 && db.counters.evictedCount > 0)
            for extent in located.flatMap(\.extents) {
                let buffer = space.disk.makeBuffer(byteCount: extent.paddedBytes)
                let count = try await space.disk.read(
                    extent.file, at: extent.fileOffset, into: extent.keeping(buffer.slice))
                #expect(count == extent.paddedBytes)
                let damage = unsafe buffer.withBytes { unsafe extent.verify($0) }
                #expect(damage == nil)
            }
            located = []
            for owner in 200..<300 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 100).put(in: space)
            }
            await db.close()
        }
    }

    @Test("JRN-13 readers beside cleaning get whole chunks or a miss, never damage")
    func beside() throws {
        for seed in 1...20 as ClosedRange<UInt64> {
            let machine = SimulatedMachine(
                seed: seed, capacity: .mebibytes(2), segmentSize: .kibibytes(128))
            let db = try machine.open()
            try machine.run { () async throws in
                let space = try await db.namespace("acme", model: smallBinding(layers: 2))
                try await withThrowingTaskGroup { group in
                    for worker in 0..<2 as Range<UInt64> {
                        group.addTask(executorPreference: machine.scheduler) {
                            for owner in 0..<60 as Range<UInt64> {
                                try await TestChunk(owner * 2 + worker, tokenCount: 60)
                                    .put(
                                        in: space, durability: owner % 3 == 0 ? .durable : .written)
                            }
                        }
                    }
                    for reader in 0..<3 as Range<UInt64> {
                        group.addTask(executorPreference: machine.scheduler) {
                            for turn in 0..<120 as Range<UInt64> {
                                let chunk = TestChunk((turn &* 7 &+ reader) % 120, tokenCount: 60)
                                let isIntact = try await chunk.isIntact(in: space)
                                #expect(isIntact != false)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(db.counters.damageCount == 0)
                let freedCount = await db.logCounters().freedCount
                #expect(freedCount > 5)
                await db.close()
            }
        }
    }
}
