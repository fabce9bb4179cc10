// A real directory that is full for ever, with writers and readers at once: what a simulation's one
// thread cannot show.

import BlockIO
import ChunkDB
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Synchronization
import Testing

@Suite("Turnover on a real disk")
struct TurnoverTests {
    private static let capacity = ByteCount.mebibytes(24)
    private static let writerCount: UInt64 = 4
    private static let putCount: UInt64 = 150

    private final class Newest: Sendable {
        let owner = Mutex<UInt64>(0)
        let finishedWriterCount = Mutex<UInt64>(0)
    }

    @Test(
        "G-1 G-3 B-1 whole chunks or a miss, within the budget, for who reads beside cleaning",
        arguments: [DiskEngine.threads, .automatic])
    func turnover(engine: DiskEngine) throws {
        var options = StoreOptions(
            capacity: Self.capacity, segmentSize: .mebibytes(1), digestBlockShift: 12)
        options.commitsPerCheckpoint = 100
        let place = StorePlace(.real(engine), options: options)
        let newest = Newest()
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            try await withThrowingTaskGroup { group in
                for writer in 0..<Self.writerCount {
                    group.addTask {
                        for number in 0..<Self.putCount {
                            let chunk = TestChunk(
                                number * Self.writerCount + writer, tokenCount: 200)
                            try await chunk.put(
                                in: space, durability: number % 4 == 0 ? .durable : .written)
                            newest.owner.withLock { $0 = chunk.owner }
                            let counters = await db.logCounters()
                            let slack: UInt64 = 4 << 20
                            #expect(counters.allocatedBytes <= Self.capacity.bytes + slack)
                        }
                        newest.finishedWriterCount.withLock { $0 += 1 }
                    }
                }
                for reader in 0..<8 as Range<UInt64> {
                    group.addTask {
                        var generator = SeededGenerator(seed: reader)
                        var hitCount = 0
                        while !Task.isCancelled,
                            newest.finishedWriterCount.withLock({ $0 }) < Self.writerCount
                                || hitCount < 20
                        {
                            let last = newest.owner.withLock { $0 }
                            let age = UInt64.random(in: 0...150, using: &generator)
                            let chunk = TestChunk(last > age ? last - age : 0, tokenCount: 200)
                            let isIntact = try await chunk.isIntact(in: space)
                            #expect(isIntact != false, "\(chunk.owner)")
                            if isIntact == true { hitCount += 1 }
                            // A miss never waits, and would keep the pool's threads for itself.
                            if isIntact == nil { try await Task.sleep(for: .microseconds(100)) }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(db.counters.damageCount == 0)
            let counters = await db.logCounters()
            #expect(counters.freedCount > 20 && db.counters.evictedCount > 100)
        }
        try place.session { db in
            #expect(db.recovery.damages == [])
            let space = try #require(db.namespace("acme"))
            var found = 0
            for owner in 0..<Self.putCount * Self.writerCount {
                let isIntact = try await TestChunk(owner, tokenCount: 200).isIntact(in: space)
                #expect(isIntact != false, "\(owner)")
                if isIntact == true { found += 1 }
            }
            #expect(found == space.entryCount && found > 30)
        }
    }
}
