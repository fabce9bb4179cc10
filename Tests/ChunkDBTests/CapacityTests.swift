// Another budget: larger, smaller, too small, and with the power going at every step. And what
// cleaning would return, returned.

import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import Glibc
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Another capacity")
struct CapacityTests {
    private static let budget = ByteCount.mebibytes(4)
    private static let half = ByteCount.mebibytes(2)

    private func machine(seed: UInt64) -> SimulatedMachine {
        SimulatedMachine(seed: seed, capacity: Self.budget, segmentSize: .kibibytes(128))
    }

    private func fill(
        _ machine: SimulatedMachine, _ owners: Range<UInt64>, pinned: Set<UInt64> = []
    )
        throws
    {
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in owners {
                try await TestChunk(owner).put(in: space, pinned: pinned.contains(owner))
            }
            await db.close()
        }
    }

    @Test("a smaller one keeps what is pinned and forgets until files fit; a larger one holds more")
    func change() throws {
        let machine = machine(seed: 1)
        try fill(machine, 0..<120, pinned: [3, 50, 119])
        var next = machine.afterRestart()
        let db = try next.open()
        try next.run { () async throws in
            let before = db.namespace("acme")?.entryCount ?? 0
            try await db.setCapacity(Self.half)
            #expect(db.superblock.capacityBytes == Self.budget.bytes, "holds until it is closed")
            let after = db.namespace("acme")?.entryCount ?? 0
            #expect(after < before && after > 30)
            await db.close()
        }
        next = next.afterRestart()
        let small = try next.open()
        try next.run { () async throws in
            #expect(small.superblock.capacityBytes == Self.half.bytes)
            #expect(small.superblock.generation == 2 && small.recovery.damages.isEmpty)
            let counters = await small.logCounters()
            #expect(counters.allocatedBytes <= Self.half.bytes)
            let space = try #require(small.namespace("acme"))
            for owner in 0..<120 as Range<UInt64> {
                let isIntact = try await TestChunk(owner).isIntact(in: space)
                #expect(isIntact != false)
                if [3, 50, 119].contains(owner) { #expect(isIntact == true, "\(owner)") }
            }
            // It lives on within its new budget, and grows again.
            for owner in 200..<300 as Range<UInt64> {
                try await TestChunk(owner).put(in: space)
                #expect(await small.logCounters().allocatedBytes <= Self.half.bytes)
            }
            try await small.setCapacity(.mebibytes(8))
            try await small.setCapacity(.mebibytes(16))
            await small.close()
        }
        next = next.afterRestart()
        let large = try next.open()
        try next.run { () async throws in
            #expect(large.superblock.capacityBytes == 16 << 20)
            #expect(large.superblock.generation == 4)
            let space = try #require(large.namespace("acme"))
            for owner in 300..<500 as Range<UInt64> { try await TestChunk(owner).put(in: space) }
            #expect(large.counters.evictedCount == 0)
            #expect(try await TestChunk(3).isIntact(in: space) == true)
            await large.close()
        }
    }

    @Test("what is pinned, or the least of a store, is not gone below; nothing happens then")
    func refusals() throws {
        let machine = machine(seed: 2)
        try fill(machine, 0..<60, pinned: Set(0..<60))
        let next = machine.afterRestart()
        let db = try next.open()
        try next.run { () async throws in
            let pinned = db.namespace("acme")?.statistics.pinnedBytes ?? 0
            await #expect(throws: StoreError.self) {
                try await db.setCapacity(ByteCount(pinned))
            }
            for bytes in [0, 4_096, SegmentLog.capacityBytesMin(unit: 4_096) - 1] as [UInt64] {
                await #expect(throws: StoreError.self) {
                    try await db.setCapacity(ByteCount(bytes))
                }
            }
            #expect(db.namespace("acme")?.entryCount == 60)
            await db.close()
            await #expect(throws: StoreError.log(.closed)) {
                try await db.setCapacity(.gibibytes(1))
            }
        }
        let last = next.afterRestart()
        let again = try last.open()
        #expect(again.superblock.capacityBytes == Self.budget.bytes)
        #expect(again.superblock.generation == 1)
        last.run { await again.close() }
    }

    @Test("a store that may not forget is not made smaller than it is")
    func keeping() throws {
        let machine = machine(seed: 3)
        try fill(machine, 0..<100)
        var next = machine.afterRestart()
        next.options.evicts = false
        let db = try next.open()
        try next.run { () async throws in
            let count = db.namespace("acme")?.entryCount
            await #expect(throws: StoreError.self) { try await db.setCapacity(Self.half) }
            #expect(db.namespace("acme")?.entryCount == count)
            await db.close()
        }
    }

    @Test(
        "SUP-6 SUP-9 a power cut at any effect leaves the old one or the new, and a sound store",
        arguments: [false, true])
    func powerCut(hasBadCopy: Bool) throws {
        let machine = machine(seed: 4)
        try fill(machine, 0..<20)
        let next = machine.afterPowerCut(Survival(.all))
        next.disk.startRecording()
        let db = try next.open()
        if hasBadCopy { next.disk.flip("superblock", byte: 131_072 + 90, bit: 3) }
        let first = next.disk.effectCount
        try next.run { () async throws in try await db.setCapacity(.mebibytes(9)) }
        let last = next.disk.effectCount
        next.run { await db.close() }
        #expect(last > first)
        var found: [UInt64: Int] = [:]
        for count in first...last {
            for survival in Survival.menu(seed: UInt64(count)) {
                var image = self.machine(seed: 4)
                image.disk = next.disk.crash(
                    afterEffects: count, survival, scheduler: image.scheduler)
                let survivor = try image.open()
                let capacity = survivor.superblock.capacityBytes
                found[capacity, default: 0] += 1
                #expect([Self.budget.bytes, 9 << 20].contains(capacity))
                if count == last { #expect(capacity == 9 << 20, "\(survival)") }
                #expect(survivor.namespace("acme")?.entryCount == 20, "\(survival)")
                image.run { await survivor.close() }
            }
        }
        #expect(found.count == 2 && found.values.allSatisfy { $0 > 5 }, "\(found)")
    }

    @Test("a rewrite that fails degrades the store, and what opens next is the old one")
    func failedWrite() throws {
        let machine = machine(seed: 5)
        try fill(machine, 0..<5)
        let next = machine.afterRestart()
        let db = try next.open()
        try next.run { () async throws in
            next.disk.fail(.write, number: 2, errorNumber: EIO)
            await #expect(throws: StoreError.self) { try await db.setCapacity(.mebibytes(9)) }
            next.disk.clearFailures()
            // Another one of the same generation would contradict what may have been written.
            await #expect(throws: StoreError.self) { try await db.setCapacity(.mebibytes(10)) }
            await db.close()
        }
        let last = next.afterRestart()
        let again = try last.open()
        #expect(again.superblock.capacityBytes == Self.budget.bytes)
        last.run { await again.close() }
    }

    @Test("compacting gives back what is dead, forgets nothing, and has nothing left to do after")
    func compact() throws {
        let machine = SimulatedMachine(
            seed: 6, capacity: .mebibytes(16), segmentSize: .kibibytes(512))
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in 0..<200 as Range<UInt64> {
                try await TestChunk(owner).put(in: space, pinned: owner == 9)
            }
            for owner in 0..<200 as Range<UInt64> where !owner.isMultiple(of: 3) {
                if owner != 9 { try await space.remove(TestChunk(owner).key(in: space)) }
            }
            let count = space.entryCount
            let report = try await db.compact()
            #expect(report.allocatedBytesAfter < report.allocatedBytesBefore * 6 / 10, "\(report)")
            #expect(report.freedSegmentCount > 4 && report.movedBytes > 0)
            #expect(space.entryCount == count && db.counters.evictedCount == 0)
            let again = try await db.compact()
            #expect(again.movedBytes == 0 && again.freedSegmentCount <= 1, "\(report) \(again)")
            await db.close()
        }
        let next = machine.afterRestart()
        let opened = try next.open()
        try next.run { () async throws in
            let space = try #require(opened.namespace("acme"))
            #expect(opened.recovery.damages.isEmpty)
            for owner in 0..<200 as Range<UInt64> {
                let expected: Bool? = owner.isMultiple(of: 3) || owner == 9 ? true : nil
                #expect(try await TestChunk(owner).isIntact(in: space) == expected, "\(owner)")
            }
            await opened.close()
        }
    }

    @Test("compacting a full store without room to copy forgets nothing either")
    func compactFull() throws {
        var machine = SimulatedMachine(
            seed: 7, capacity: .mebibytes(2), segmentSize: .kibibytes(128))
        machine.options.evicts = false
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            var owner: UInt64 = 0
            while true {
                do throws(StoreError) {
                    try await TestChunk(owner).put(in: space)
                } catch {
                    break
                }
                owner += 1
            }
            #expect(owner > 20)
            for gone in stride(from: 0, to: owner, by: 4) {
                try await space.remove(TestChunk(gone).key(in: space))
            }
            let count = space.entryCount
            _ = try await db.compact()
            #expect(space.entryCount == count)
            for number in 0..<owner where !number.isMultiple(of: 4) {
                #expect(try await TestChunk(number).isIntact(in: space) == true, "\(number)")
            }
            await db.close()
        }
    }

    @Test("a power cut at any effect of a compaction loses nothing and brings nothing back")
    func compactPowerCut() throws {
        let machine = machine(seed: 8)
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in 0..<24 as Range<UInt64> { try await TestChunk(owner).put(in: space) }
            for owner in 0..<24 as Range<UInt64> where !owner.isMultiple(of: 4) {
                try await space.remove(TestChunk(owner).key(in: space))
            }
            await db.close()
        }
        let next = machine.afterPowerCut(Survival(.all))
        next.disk.startRecording()
        let again = try next.open()
        let first = next.disk.effectCount
        let report = try next.run { () async throws in try await again.compact() }
        #expect(report.freedSegmentCount > 1 && report.movedBytes > 0, "\(report)")
        let last = next.disk.effectCount
        next.run { await again.close() }
        for count in first...last {
            let menu = Survival.menu(seed: UInt64(count))
            // Each effect under one pattern, all patterns in turn.
            let survival = menu[count % menu.count]
            var image = self.machine(seed: 8)
            image.disk = next.disk.crash(
                afterEffects: count, survival, scheduler: image.scheduler)
            let survivor = try image.open()
            try image.run { () async throws in
                let space = try #require(survivor.namespace("acme"))
                #expect(survivor.recovery.damages.isEmpty, "\(count) \(survival)")
                for owner in 0..<24 as Range<UInt64> {
                    let isIntact = try await TestChunk(owner).isIntact(in: space)
                    #expect(isIntact == (owner.isMultiple(of: 4) ? true : nil), "\(count) \(owner)")
                }
                await survivor.close()
            }
        }
    }
}
