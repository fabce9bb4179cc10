// Namespaces as tenants: what one may have at most, what nobody takes from it, and what both are
// told. Chunks of 30 tokens in two layers take 36,864 bytes.

import EngineTestSupport
import Primitives
import Retention
import SegmentLog
import StoreTestSupport
import Testing

@testable import ChunkDB

@Suite("Tenants")
struct TenantTests {
    private func machine(seed: UInt64, _ options: [String: NamespaceOptions]) -> SimulatedMachine {
        var machine = SimulatedMachine(
            seed: seed, capacity: .mebibytes(4), segmentSize: .kibibytes(256))
        machine.options.namespaces = options
        return machine
    }

    private func options(_ change: (inout NamespaceOptions) -> Void) -> NamespaceOptions {
        var options = NamespaceOptions()
        change(&options)
        return options
    }

    private func put(_ owner: UInt64, in space: Namespace, pinned: Bool = false)
        async throws(StoreError)
    {
        try await TestChunk(owner, tokenCount: 30).put(in: space, pinned: pinned)
    }

    private struct Facts: Equatable {
        let namespace: String
        let quota: Quota
        let allowed, needed: UInt64
        init(_ namespace: String, _ quota: Quota, _ allowed: UInt64, _ needed: UInt64) {
            (self.namespace, self.quota) = (namespace, quota)
            (self.allowed, self.needed) = (allowed, needed)
        }
    }

    private func facts(_ error: StoreError) -> Facts? {
        guard case .quotaExceeded(let facts) = error else { return nil }
        return Facts(facts.namespace, facts.quota, facts.allowed, facts.needed)
    }

    private func intactCount(_ owners: Range<UInt64>, in space: Namespace) async throws -> Int {
        var count = 0
        for owner in owners {
            let isIntact = try await TestChunk(owner, tokenCount: 30).isIntact(in: space)
            #expect(isIntact != false)
            if isIntact == true { count += 1 }
        }
        return count
    }

    @Test("E-1 a namespace over its limit forgets its own, and nobody else's")
    func limit() throws {
        let limit = ByteCount.kibibytes(512)
        let machine = machine(seed: 1, ["acme": options { $0.limit = limit }])
        let db = try machine.open()
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
            let beta = try await db.namespace("beta", model: smallBinding(layers: 2))
            for owner in 0..<20 as Range<UInt64> { try await put(owner, in: beta) }
            for owner in 0..<60 as Range<UInt64> {
                try await put(owner, in: acme)
                #expect(acme.statistics.storedBytes <= limit.bytes, "after put \(owner)")
                #expect(acme.statistics.inFlightBytes == 0)
            }
            #expect(acme.statistics.evictedCount >= 40)
            #expect(beta.statistics.evictedCount == 0)
            #expect(try await intactCount(0..<20, in: beta) == 20)
            #expect(try await intactCount(0..<60, in: acme) == acme.statistics.entryCount)
            #expect(acme.statistics.entryCount >= 10)
            await db.close()
        }
        // What was forgotten may be back after a crash; the limit makes room anew.
        for isBare in [false, true] {
            let next = machine.afterRestart()
            if isBare {
                try next.run { () async throws in try await next.disk.unlink("checkpoint") }
            }
            let again = try next.open()
            try next.run { () async throws in
                let acme = try #require(again.namespace("acme"))
                let beta = try #require(again.namespace("beta"))
                let stored = acme.statistics
                #expect(stored.entryCount == acme.entryCount)
                #expect(isBare == (stored.storedBytes > limit.bytes), "\(stored)")
                try await put(isBare ? 101 : 100, in: acme)
                #expect(acme.statistics.storedBytes <= limit.bytes)
                #expect(try await intactCount(0..<20, in: beta) == 20)
                await again.close()
            }
        }
    }

    @Test("cold pinned chunks do not keep a namespace from making room among the others")
    func coldPins() throws {
        let machine = machine(seed: 8, ["acme": options { $0.entryCountMax = 40 }])
        let db = try machine.open()
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
            // The oldest, never used again.
            for owner in 0..<8 as Range<UInt64> { try await put(owner, in: acme, pinned: true) }
            for owner in 8..<80 as Range<UInt64> {
                try await put(owner, in: acme)
                _ = try await intactCount(owner..<owner + 1, in: acme)
                #expect(acme.statistics.entryCount <= 40)
            }
            #expect(try await intactCount(0..<8, in: acme) == 8)
            await db.close()
        }
    }

    @Test(
        "what namespaces say they have is what their indexes name, whoever forgets beside whom",
        arguments: 1...12 as ClosedRange<UInt64>)
    func accounts(seed: UInt64) throws {
        let machine = machine(
            seed: seed,
            [
                "acme": options {
                    $0.entryCountMax = 20
                    $0.variantsPerChunk = 2
                }
            ])
        let db = try machine.open()
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
            let beta = try await db.namespace("beta", model: smallBinding(layers: 2))
            try await withThrowingTaskGroup { group in
                for worker in 0..<4 as Range<UInt64> {
                    group.addTask(executorPreference: machine.scheduler) {
                        for number in 0..<60 as Range<UInt64> {
                            let owner = number * 4 + worker
                            try await put(owner, in: worker % 2 == 0 ? acme : beta)
                            for used in 0..<3 as Range<UInt64> {
                                _ = try await TestChunk(used, tokenCount: 30).isIntact(in: acme)
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            // Counted one by one, what the namespaces say they have is what their indexes name.
            for space in [acme, beta] {
                var (count, bytes) = (0, UInt64(0))
                var ordinals: Set<UInt32> = []
                space.forEachEntry { entry in
                    count += 1
                    bytes += entry.diskBytes
                    ordinals.insert(entry.ordinal)
                    return true
                }
                #expect(space.statistics.entryCount == count)
                #expect(space.statistics.storedBytes == bytes)
                #expect(ordinals.count == count, "a row of heat for each")
                #expect(space.statistics.inFlightBytes == 0)
            }
            await db.close()
        }
    }

    @Test("entries, size, bytes in flight: each bound is refused by name, before a byte is written")
    func bounds() throws {
        let machine = machine(
            seed: 2,
            [
                "few": options { $0.entryCountMax = 3 },
                "small": options { $0.variantSizeMax = .kibibytes(16) },
                "slow": options { $0.inFlightMax = .kibibytes(64) },
                "tiny": options { $0.limit = .kibibytes(40) },
            ])
        let db = try machine.open()
        try machine.run { () async throws in
            let binding = smallBinding(layers: 2)
            let few = try await db.namespace("few", model: binding)
            for owner in 0..<9 as Range<UInt64> {
                try await put(owner, in: few)
                #expect(few.entryCount <= 3)
            }
            #expect(few.statistics.evictedCount == 6)
            let written = await db.logCounters().committedBytes

            let small = try await db.namespace("small", model: binding)
            let tooLarge = await #expect(throws: StoreError.self) { try await put(0, in: small) }
            #expect(
                tooLarge
                    .flatMap(facts) == Facts("small", .variantSize, 16_384, 36_864))

            let slow = try await db.namespace("slow", model: binding)
            let chunk = TestChunk(1, tokenCount: 30)
            let first = try await slow.beginPut(chunk.key(in: slow), tokens: chunk.tokens)
            #expect(slow.statistics.inFlightBytes == 36_864)
            let inFlight = await #expect(throws: StoreError.self) { try await put(2, in: slow) }
            #expect(
                inFlight
                    .flatMap(facts) == Facts("slow", .inFlight, 65_536, 73_728))
            _ = consume first
            try await put(2, in: slow)

            // Pinned chunks make no room.
            let tiny = try await db.namespace("tiny", model: binding)
            try await put(0, in: tiny, pinned: true)
            let full = await #expect(throws: StoreError.self) { try await put(1, in: tiny) }
            #expect(
                full
                    .flatMap(facts) == Facts("tiny", .bytes, 40_960, 73_728))
            #expect(try await intactCount(0..<1, in: tiny) == 1)
            #expect(await db.logCounters().committedBytes < written + 3 * 65_536)
            await db.close()
        }
    }

    @Test("E-1 a guaranteed share is not taken by a burst of others", arguments: [1, 2, 3])
    func share(seed: UInt64) throws {
        let machine = machine(
            seed: seed, ["quiet": options { $0.guaranteedShare = .kibibytes(1_024) }])
        let db = try machine.open()
        try machine.run { () async throws in
            let quiet = try await db.namespace("quiet", model: smallBinding(layers: 2))
            let loud = try await db.namespace("loud", model: smallBinding(layers: 2))
            // Less than its share, and scattered among the others'.
            for owner in 0..<25 as Range<UInt64> {
                try await put(owner, in: quiet)
                try await put(owner, in: loud)
            }
            for owner in 100..<500 as Range<UInt64> {
                try await put(owner, in: loud)
                let counters = await db.logCounters()
                #expect(counters.allocatedBytes <= 4 << 20)
            }
            #expect(quiet.statistics.evictedCount == 0)
            #expect(try await intactCount(0..<25, in: quiet) == 25)
            #expect(loud.statistics.evictedCount > 300)
            // What is above the share competes; the share itself stays.
            for owner in 25..<60 as Range<UInt64> { try await put(owner, in: quiet) }
            for owner in 500..<900 as Range<UInt64> { try await put(owner, in: loud) }
            #expect(quiet.statistics.evictedCount > 0)
            #expect(quiet.statistics.storedBytes >= (1_024 << 10) - 36_864)
            #expect(
                try await intactCount(0..<60, in: quiet) == quiet.statistics.entryCount)
            await db.close()
        }
    }

    @Test("E-2 more is not pinned than there is room for, and others' pins stay")
    func pins() throws {
        var machine = machine(seed: 4, [:])
        machine.options.pinnedCapacity = .kibibytes(256)
        let db = try machine.open()
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in 0..<7 as Range<UInt64> { try await put(owner, in: acme, pinned: true) }
            let refusal = await #expect(throws: StoreError.self) {
                try await put(7, in: acme, pinned: true)
            }
            #expect(
                refusal
                    .flatMap(facts) == Facts("acme", .pinned, 262_144, 8 * 36_864))
            // A writer that goes nowhere gives its part back.
            try await acme.remove(TestChunk(0, tokenCount: 30).key(in: acme))
            do {
                let chunk = TestChunk(8, tokenCount: 30)
                _ = try await acme.beginPut(
                    chunk.key(in: acme), tokens: chunk.tokens, pinned: true)
            }
            try await put(9, in: acme, pinned: true)
            for owner in 100..<300 as Range<UInt64> { try await put(owner, in: acme) }
            #expect(try await intactCount(1..<7, in: acme) == 6)
            #expect(acme.statistics.pinnedBytes == 7 * 36_864)
            await db.close()
        }
    }

    @Test("at most so many forms of a chunk; the least worthy makes room for the newest")
    func variants() throws {
        let machine = machine(seed: 5, ["acme": options { $0.variantsPerChunk = 3 }])
        let db = try machine.open()
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
            let chunk = TestChunk(1, tokenCount: 30)
            func context(_ number: UInt64) -> PrefixContext {
                PrefixContext(
                    prefix: [TestChunk(1_000 + number).key(in: acme)], basePosition: 16)
            }
            for number in 0..<8 as Range<UInt64> {
                try await chunk.put(in: acme, context: context(number))
                #expect(acme.variants(of: chunk.key(in: acme)).count <= 3)
                #expect(
                    acme.contains(
                        chunk.key(in: acme), variant: context(number).variantID) != nil)
                // The first is used again and again.
                let isIntact = try await chunk.isIntact(
                    in: acme, variant: context(0).variantID)
                #expect(isIntact == true, "after form \(number)")
            }
            #expect(acme.statistics.evictedCount == 5)
            await db.close()
        }
    }

    @Test("admission turns one-time chunks away; a preload is not asked")
    func admission() throws {
        let machine = machine(seed: 6, ["acme": options { $0.admissionPolicy = "seen-twice" }])
        let db = try machine.open()
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: smallBinding(layers: 2))
            let chunk = TestChunk(1)
            #expect(try await chunk.put(in: acme) == .declined)
            #expect(acme.entryCount == 0)
            #expect(try await chunk.put(in: acme) == .committed)
            #expect(try await chunk.put(in: acme) == .alreadyPresent)
            let other = TestChunk(2)
            let outcome = try await acme.put(
                other.key(in: acme), tokens: other.tokens, layers: other.layers(acme.binding),
                preloading: true)
            #expect(outcome == .committed)
            #expect(acme.statistics.declinedCount == 1)
            await db.close()
        }
    }

    @Test("cost-aware admission goes by the costs that were given, each namespace by its own")
    func admissionCosts() throws {
        let costs = { (perByte: Double) in
            options {
                $0.admissionPolicy = "cost-aware"
                $0.admissionOptions.costs = TransferCosts(
                    loadFixed: 0, loadPerByte: 0, writePerByte: perByte)
            }
        }
        let machine = machine(seed: 6, ["dear": costs(1), "cheap": costs(1e-9)])
        let db = try machine.open()
        try machine.run { () async throws in
            for (name, outcome) in [("dear", CommitOutcome.declined), ("cheap", .committed)] {
                let space = try await db.namespace(name, model: smallBinding(layers: 2))
                #expect(try await TestChunk(1).put(in: space) == outcome, "\(name)")
            }
            await db.close()
        }
    }

    @Test("quotas that contradict each other or the capacity are refused, and say which")
    func contradictions() throws {
        let cases: [([String: NamespaceOptions], ByteCount?, String)] = [
            (
                [
                    "acme": options {
                        $0.guaranteedShare = .kibibytes(8)
                        $0.limit = .kibibytes(4)
                    }
                ], nil, "acme"
            ),
            (["a": options { $0.guaranteedShare = .mebibytes(4) }], nil, "guaranteed shares"),
            (
                [
                    "a": options { $0.guaranteedShare = ByteCount(.max) },
                    "b": options { $0.guaranteedShare = ByteCount(.max) },
                ], nil, "guaranteed shares"
            ),
            ([:], .mebibytes(4), "pinned capacity"),
            (["a": options { $0.entryCountMax = 0 }], nil, "entries of namespace a"),
            (["a": options { $0.variantsPerChunk = -1 }], nil, "variants a chunk"),
            (["a": options { $0.timeToLive = .zero }], nil, "time to live"),
            (["a": options { $0.admissionPolicy = "nobody" }], nil, "nobody"),
        ]
        for (options, pinnedCapacity, word) in cases {
            var machine = machine(seed: 7, options)
            machine.options.pinnedCapacity = pinnedCapacity
            let error = #expect(throws: StoreError.self) { try machine.open() }
            #expect(error?.description.contains(word) == true, "\(error as Any)")
            // And a sound opener finds a sound store, or makes one.
            machine = machine.afterRestart()
            machine.options.namespaces = [:]
            machine.options.pinnedCapacity = nil
            let db = try machine.open()
            #expect(db.recovery.damages == [])
            machine.run { await db.close() }
        }
    }
}
