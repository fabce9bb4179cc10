// Chunks that end: a miss from the second on, through reopenings, and the first whose space is used
// again. The clock is the wall's, as it is at that moment.

import ChunkDB
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Time to live")
struct ExpiryTests {
    private func lookUp(_ owner: UInt64, in space: Namespace, tokenCount: Int = 16) async throws
        -> Bool?
    {
        let chunk = TestChunk(owner, tokenCount: tokenCount)
        let key = chunk.key(in: space)
        let isIntact = try await chunk.isIntact(in: space)
        var listed = 0
        space.forEachEntry { entry in
            if entry.key == key { listed += 1 }
            return true
        }
        let isThere = isIntact != nil
        #expect((space.contains(key) != nil) == isThere)
        #expect(space.variants(of: key).count == (isThere ? 1 : 0))
        #expect(listed == (isThere ? 1 : 0))
        return isIntact
    }

    @Test("PAY-13 a chunk is a miss from its last second on, and can be put again")
    func ends() throws {
        let machine = SimulatedMachine(seed: 1)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding())
            try await TestChunk(1).put(in: space, timeToLive: .seconds(10))
            try await TestChunk(2).put(in: space, timeToLive: .milliseconds(1))
            try await TestChunk(3).put(in: space)
            // The clock's second had begun when they were put.
            machine.scheduler.clock.jumpWall(bySeconds: 2)
            #expect(try await lookUp(2, in: space) == nil)
            machine.scheduler.clock.jumpWall(bySeconds: 8)
            #expect(try await lookUp(1, in: space) == true)
            machine.scheduler.clock.jumpWall(bySeconds: 1)
            #expect(try await lookUp(1, in: space) == nil)
            #expect(try await lookUp(3, in: space) == true)
            // A clock that goes back finds it again, until it is overwritten.
            machine.scheduler.clock.jumpWall(bySeconds: -5)
            #expect(try await lookUp(1, in: space) == true)
            machine.scheduler.clock.jumpWall(bySeconds: 5)
            #expect(try await TestChunk(1).put(in: space) == .committed)
            #expect(try await TestChunk(2).put(in: space, durability: .accepted) == .committed)
            for owner in 1...3 as ClosedRange<UInt64> {
                #expect(try await lookUp(owner, in: space) == true)
            }
            #expect(space.entryCount == 3)
            await db.close()
        }
    }

    @Test(
        "PAY-13 HEA-4 its end is found again, with and without a checkpoint",
        arguments: [false, true])
    func reopened(isBare: Bool) throws {
        let machine = SimulatedMachine(seed: 2)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding())
            try await TestChunk(1).put(in: space, timeToLive: .seconds(10))
            try await TestChunk(2).put(in: space, timeToLive: .seconds(1_000))
            try await TestChunk(3).put(in: space, timeToLive: .seconds(10))
            machine.scheduler.clock.jumpWall(bySeconds: 11)
            // The later put counts, not the one whose time was over.
            try await TestChunk(3).put(in: space, timeToLive: .seconds(1_000))
            await db.close()
        }
        let next = machine.afterRestart()
        if isBare { try next.run { () async throws in try await next.disk.unlink("checkpoint") } }
        let again = try next.open()
        try next.run { () async throws in
            let space = try #require(again.namespace("acme"))
            #expect(try await lookUp(1, in: space) == nil)
            #expect(try await lookUp(2, in: space) == true)
            #expect(try await lookUp(3, in: space) == true)
            next.scheduler.clock.jumpWall(bySeconds: 1_001)
            #expect(try await lookUp(2, in: space) == nil)
            #expect(try await lookUp(3, in: space) == nil)
            // What is over is removed as well.
            let key = TestChunk(2).key(in: space)
            try await space.remove(key)
            next.scheduler.clock.jumpWall(bySeconds: -1_001)
            #expect(try await lookUp(2, in: space) == nil)
            await again.close()
        }
    }

    @Test("a namespace's time is for those that are put without one")
    func standard() throws {
        var machine = SimulatedMachine(seed: 3)
        machine.options.namespaces["acme", default: .init()].timeToLive = .seconds(5)
        let (db, clock) = (try machine.open(), machine.scheduler.clock)
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: smallBinding())
            let beta = try await db.namespace("beta", model: smallBinding())
            try await TestChunk(1).put(in: acme)
            try await TestChunk(2).put(in: acme, timeToLive: .seconds(50))
            try await TestChunk(1).put(in: beta)
            clock.jumpWall(bySeconds: 6)
            #expect(try await lookUp(1, in: acme) == nil)
            #expect(try await lookUp(2, in: acme) == true)
            #expect(try await lookUp(1, in: beta) == true)
            await db.close()
        }
    }

    @Test(
        "what is over makes room first, pinned or not, and is not counted as evicted",
        arguments: [true, false])
    func makesRoom(evicts: Bool) throws {
        var machine = SimulatedMachine(
            seed: 4, capacity: .mebibytes(4), segmentSize: .kibibytes(256))
        machine.options.evicts = evicts
        let clock = machine.scheduler.clock
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in 0..<30 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 50).put(
                    in: space, pinned: owner < 8, timeToLive: .seconds(10))
            }
            clock.jumpWall(bySeconds: 11)
            for owner in 30..<62 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 50).put(in: space)
            }
            for owner in 30..<62 as Range<UInt64> {
                #expect(try await lookUp(owner, in: space, tokenCount: 50) == true, "\(owner)")
            }
            #expect(db.counters.expiredCount > 0)
            #expect(db.counters.evictedCount == 0)
            await db.close()
        }
    }

    @Test("a time that is over before it began is refused", arguments: [0, -1, Int.min / 2])
    func refused(seconds: Int) throws {
        let machine = SimulatedMachine(seed: 5)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding())
            await #expect(throws: StoreError.self) {
                try await TestChunk(1).put(in: space, timeToLive: .seconds(seconds))
            }
            #expect(space.entryCount == 0)
            try await TestChunk(2).put(in: space, timeToLive: .seconds(Int.max))
            machine.scheduler.clock.jumpWall(bySeconds: 1 << 40)
            #expect(try await lookUp(2, in: space) == true)
            await db.close()
        }
    }
}
