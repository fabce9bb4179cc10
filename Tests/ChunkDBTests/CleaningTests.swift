// A store that is full for ever: the least worthy goes, the rest stays whole, and the files stay
// within the budget, through reopenings with and without a checkpoint.

import ChunkDB
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Synchronization
import Testing

@Suite("Living inside a budget")
struct CleaningTests {
    private static let budget = ByteCount.mebibytes(4)
    private static let segment = ByteCount.kibibytes(256)

    private func machine(seed: UInt64, evicted: Evicted? = nil) -> SimulatedMachine {
        var machine = SimulatedMachine(
            seed: seed, capacity: Self.budget, segmentSize: Self.segment)
        if let evicted {
            machine.options.evictionObserver = { _, key, _ in evicted.note(key) }
        }
        return machine
    }

    final class Evicted: Sendable {
        private let keys = Mutex<Set<ChunkKey>>([])
        func note(_ key: ChunkKey) { keys.withLock { _ = $0.insert(key) } }
        func contains(_ key: ChunkKey) -> Bool { keys.withLock { $0.contains(key) } }
        var count: Int { keys.withLock { $0.count } }
    }

    @Test(
        "ten times the budget goes through; nothing is lost unsaid",
        arguments: 1...6 as ClosedRange<UInt64>)
    func turnover(seed: UInt64) throws {
        let evicted = Evicted()
        let machine = machine(seed: seed, evicted: evicted)
        let db = try machine.open()
        let count: UInt64 = 600
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in 0..<count {
                try await TestChunk(owner, tokenCount: 50).put(in: space)
                let counters = await db.logCounters()
                #expect(counters.allocatedBytes <= Self.budget.bytes, "after put \(owner)")
            }
            let log = await db.logCounters()
            #expect(log.freedCount > 50)
            #expect(db.counters.evictedCount > 200)
            #expect(evicted.count == Int(db.counters.evictedCount))
            for owner in 0..<count {
                let chunk = TestChunk(owner, tokenCount: 50)
                let expected: Bool? = evicted.contains(chunk.key(in: space)) ? nil : true
                #expect(try await chunk.isIntact(in: space) == expected, "\(owner)")
            }
            #expect(try await TestChunk(count - 1, tokenCount: 50).isIntact(in: space) == true)
            await db.close()
        }
        try check(machine.afterRestart(), count, evicted, mayReappear: false)
        // The log alone is enough.
        let bare = machine.afterRestart()
        try bare.run { () async throws in
            try await bare.disk.unlink("checkpoint")
        }
        try check(bare, count, evicted, mayReappear: true)
    }

    @Test("pinned chunks stay while everything else comes and goes; too many are refused")
    func pinned() throws {
        let machine = machine(seed: 7)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            func pin(_ owner: UInt64) async throws {
                let chunk = TestChunk(owner, tokenCount: 30)
                var writer = try await space.beginPut(
                    chunk.key(in: space), tokens: chunk.tokens, pinned: true)
                for (layer, planes) in chunk.layers(space.binding).enumerated() {
                    try await writer.append(layer: layer, keys: planes.keys, values: planes.values)
                }
                _ = try await writer.commit()
            }
            // Among others, so that their segments are worth freeing.
            for owner in 0..<10 as Range<UInt64> {
                try await pin(owner)
                for other in 0..<3 as Range<UInt64> {
                    try await TestChunk(2_000 + owner * 3 + other, tokenCount: 30).put(in: space)
                }
            }
            for owner in 100..<700 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 30).put(in: space)
            }
            for owner in 0..<10 as Range<UInt64> {
                let isIntact = try await TestChunk(owner, tokenCount: 30).isIntact(in: space)
                #expect(isIntact == true, "\(owner)")
            }
            var pinnedCount = 10
            do {
                for owner in 10..<1_000 as Range<UInt64> {
                    try await pin(owner)
                    pinnedCount += 1
                }
                Issue.record("more was pinned than there is room")
            } catch StoreError.quotaExceeded(let facts) where facts.quota == .pinned {}
            #expect(pinnedCount > 15)
            for owner in 0..<UInt64(pinnedCount) {
                let isIntact = try await TestChunk(owner, tokenCount: 30).isIntact(in: space)
                #expect(isIntact == true, "\(owner)")
            }
            await db.close()
        }
    }

    private func check(
        _ machine: SimulatedMachine, _ count: UInt64, _ evicted: Evicted, mayReappear: Bool
    ) throws {
        let db = try machine.open()
        try machine.run { () async throws in
            #expect(db.recovery.damages == [])
            let space = try #require(db.namespace("acme"))
            for owner in 0..<count {
                let chunk = TestChunk(owner, tokenCount: 50)
                let found = try await chunk.isIntact(in: space)
                if evicted.contains(chunk.key(in: space)) {
                    #expect(found == nil || (mayReappear && found == true), "\(owner)")
                } else {
                    #expect(found == true, "\(owner)")
                }
            }
            let counters = await db.logCounters()
            // The checkpoint came last, and is counted since.
            #expect(counters.allocatedBytes <= Self.budget.bytes + (1 << 20) + (64 << 10))
            // And it goes on.
            for owner in count..<count + 40 {
                try await TestChunk(owner, tokenCount: 50).put(in: space)
            }
            #expect(try await TestChunk(count + 39, tokenCount: 50).isIntact(in: space) == true)
            await db.close()
        }
    }
}
