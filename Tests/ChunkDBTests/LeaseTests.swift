// What is leased stays readable, whatever becomes of its name and of its neighbours, and no longer.

import ChunkDB
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Leases")
struct LeaseTests {
    private func machine(seed: UInt64) -> SimulatedMachine {
        SimulatedMachine(seed: seed, capacity: .mebibytes(4), segmentSize: .kibibytes(256))
    }

    private func isIntact(_ lease: Lease, _ owner: Int) async throws -> Bool {
        let data = try await lease.get()
        return TestChunk(UInt64(owner), tokenCount: 30).layers(smallBinding(layers: 2)).enumerated()
            .allSatisfy { layer, planes in
                data.plane(layer: layer, .keys).elementsEqual(planes.keys)
                    && data.plane(layer: layer, .values).elementsEqual(planes.values)
            }
    }

    private func put(_ owners: Range<UInt64>, in space: Namespace) async throws(StoreError) {
        for owner in owners { try await TestChunk(owner, tokenCount: 30).put(in: space) }
    }

    @Test("G-3 the bytes stay through eviction, removal, cleaning and the namespace's end")
    func keeps() throws {
        var machine = machine(seed: 1)
        machine.options.namespaces["acme", default: .init()].entryCountMax = 3
        let db = try machine.open()
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
            let beta = try await db.namespace("beta", model: smallBinding(layers: 2))
            try await put(0..<3, in: acme)
            func lease(_ owner: UInt64) async throws -> Lease {
                let key = TestChunk(owner, tokenCount: 30).key(in: acme)
                return try #require(await acme.lease(key, for: .seconds(3_600)))
            }
            let (evicted, removed, dropped) = (
                try await lease(0), try await lease(1), try await lease(2)
            )
            // More than the namespace may have: the first three make room.
            try await put(3..<6, in: acme)
            #expect(acme.contains(evicted.entry.key) == nil)
            try await acme.remove(removed.entry.key)
            #expect(try await acme.get(removed.entry.key) == nil)
            // Many times the budget goes through.
            try await put(100..<500, in: beta)
            #expect(await db.logCounters().freedCount > 40)
            try await db.drop(acme)
            for (owner, lease) in zip(0..., [evicted, removed, dropped]) {
                #expect(try await isIntact(lease, owner), "\(owner)")
                let part = try await lease.get(layers: 1..<2, tokens: 3..<7)
                #expect(part.plane(layer: 1, .keys).count == 4 * acme.binding.rowBytes(layer: 1))
            }
            let counters = await db.logCounters()
            #expect(counters.allocatedBytes <= 4 << 20)
            await db.close()
            await #expect(throws: StoreError.leaseEnded) { _ = try await evicted.get() }
        }
    }

    @Test("a lease ends with its time, by hand, and with its last name; its space is used again")
    func ends() throws {
        var machine = machine(seed: 2)
        machine.options.leasedCapacity = .kibibytes(512)
        let (db, clock) = (try machine.open(), machine.scheduler.clock)
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
            try await put(0..<60, in: acme)
            func lease(_ owner: UInt64) async throws(StoreError) -> Lease? {
                let key = TestChunk(owner, tokenCount: 30).key(in: acme)
                return try await acme.lease(key, for: .seconds(10))
            }
            // Two segments' worth, and no third.
            let first = try #require(try await lease(50))
            var second = try await lease(59)
            #expect(second?.hasEnded == false)
            let refusal = await #expect(throws: StoreError.self) { _ = try await lease(41) }
            guard case .quotaExceeded(let facts)? = refusal, facts.quota == .leased else {
                Issue.record("\(refusal as Any)")
                return
            }
            #expect(facts.needed > facts.allowed)
            // Of a segment that is leased already there may be many.
            let beside = try #require(try await lease(49))
            beside.end()
            #expect(beside.hasEnded)
            second = nil
            let third = try #require(try await lease(41))
            #expect(try await isIntact(third, 41))

            await clock.sleep(nanoseconds: 10_000_000_000)
            #expect(first.hasEnded && third.hasEnded)
            await #expect(throws: StoreError.leaseEnded) { _ = try await first.get() }
            try await put(100..<400, in: acme)
            for owner in 380..<400 as Range<UInt64> {
                let isIntact = try await TestChunk(owner, tokenCount: 30).isIntact(in: acme)
                #expect(isIntact == true)
            }
            await db.close()
        }
    }

    @Test("E-2 leases never take all room from puts")
    func bounded() throws {
        let machine = machine(seed: 3)
        let db = try machine.open()
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
            var leases: [Lease] = []
            var refusedCount = 0
            for owner in 0..<300 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 30).put(in: acme)
                let key = TestChunk(owner, tokenCount: 30).key(in: acme)
                do throws(StoreError) {
                    if let lease = try await acme.lease(key, for: .seconds(3_600)) {
                        leases.append(lease)
                    }
                } catch {
                    guard case .quotaExceeded = error else { throw error }
                    refusedCount += 1
                }
            }
            #expect(refusedCount > 200 && leases.count > 10)
            for (owner, lease) in zip(0..., leases) {
                #expect(try await isIntact(lease, owner))
            }
            await db.close()
        }
    }

    @Test("a lease of nothing is a miss, and one of no time is refused")
    func bad() throws {
        let machine = machine(seed: 4)
        let db = try machine.open()
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
            let key = TestChunk(1, tokenCount: 30).key(in: acme)
            #expect(try await acme.lease(key, for: .seconds(1)) == nil)
            for duration in [Duration.zero, .seconds(-1)] {
                await #expect(throws: StoreError.self) {
                    _ = try await acme.lease(key, for: duration)
                }
            }
            try await put(1..<2, in: acme)
            let most = Duration(
                secondsComponent: 18_446_744_073, attosecondsComponent: 999_999_999_999_999_999)
            _ = try await acme.lease(key, for: most)
            let lease = try #require(try await acme.lease(key, for: .seconds(Int.max)))
            #expect(try await isIntact(lease, 1))
            await db.close()
        }
    }
}
