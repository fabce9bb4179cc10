import Testing

@testable import Retention

@Suite("Admission")
struct AdmissionTests {
    @Test("admits all, if told to")
    func all() {
        #expect(AdmitAll().admits(keyHash: 1, facts: facts(), at: 0))
    }

    @Test("admits what was wanted before, within its window")
    func seenTwice() {
        let policy = SeenTwice(ghostSlots: 1_024, windowSeconds: 100)
        #expect(!policy.admits(keyHash: 1, facts: facts(), at: 0))
        #expect(policy.admits(keyHash: 1, facts: facts(), at: 100))
        #expect(policy.admits(keyHash: 1, facts: facts(), at: 150))
        #expect(!policy.admits(keyHash: 1, facts: facts(), at: 251))
        // The clock jumped back: no time has passed.
        #expect(policy.admits(keyHash: 1, facts: facts(), at: 3))
    }

    @Test("keeps its memory bounded under a scan, and still knows the last keys")
    func seenTwiceScan() {
        let policy = SeenTwice(ghostSlots: 1_024)
        for key in 0..<100_000 as Range<UInt64> {
            #expect(!policy.admits(keyHash: key, facts: facts(), at: UInt32(key)))
        }
        let known = (99_500..<100_000 as Range<UInt64>).count {
            policy.admits(keyHash: $0, facts: facts(), at: 100_001)
        }
        #expect(known > 480)
    }

    @Test("by cost: never what loads slower than it computes")
    func hopeless() {
        let policy = CostAware(costs: TransferCosts(loadPerByte: 1))
        for second in 0..<20 as Range<UInt32> {
            #expect(!policy.admits(keyHash: 1, facts: facts(), at: second))
        }
    }

    @Test("by cost: a dear write waits for proof, a cheap one does not")
    func proof() {
        let bytes = Double(32 << 20)
        // 256 tokens to compute, 56 to load: a reuse gains 200.
        func policy(write: Double) -> CostAware {
            CostAware(
                costs: TransferCosts(
                    loadFixed: 0, loadPerByte: 56 / bytes, writePerByte: write / bytes))
        }
        #expect(policy(write: 20).admits(keyHash: 1, facts: facts(), at: 0))
        let dear = policy(write: 400)
        #expect(!dear.admits(keyHash: 1, facts: facts(), at: 0))
        #expect(!dear.admits(keyHash: 1, facts: facts(), at: 100))
        #expect(dear.admits(keyHash: 1, facts: facts(), at: 200))
        // A day later the sights have lapsed.
        #expect(!dear.admits(keyHash: 1, facts: facts(), at: 90_000))
    }

    @Test("by cost: learns from the traffic whether first sights come back")
    func learns() {
        let bytes = Double(32 << 20)
        let policy = CostAware(
            costs: TransferCosts(loadFixed: 0, loadPerByte: 0, writePerByte: 50 / bytes),
            ghostSlots: 1 << 15)
        // 256 a reuse against 50: worth it if one in five comes back.
        #expect(policy.admits(keyHash: 1, facts: facts(), at: 0))
        for key in 100..<5_000 as Range<UInt64> {
            _ = policy.admits(keyHash: key, facts: facts(), at: 1)
        }
        #expect(!policy.admits(keyHash: 6_000, facts: facts(), at: 2))
        for key in 100..<5_000 as Range<UInt64> {
            _ = policy.admits(keyHash: key, facts: facts(), at: 3)
        }
        #expect(policy.admits(keyHash: 6_001, facts: facts(), at: 4))
    }

    @Test("counts what computing costs: tokens, and their attention to each other")
    func recomputeTokens() {
        #expect(VariantFacts.recomputeTokens(0) == 0)
        #expect(VariantFacts.recomputeTokens(-5) == 0)
        #expect(VariantFacts.recomputeTokens(61_000) == 122_000)
        #expect(VariantFacts(diskBytes: 1, tokenCount: 61).recomputeCost == 61 * 1.001)
        let measured = VariantFacts(diskBytes: 1, tokenCount: 61, recomputeMilliseconds: 8)
        #expect(measured.recomputeCost == 8)
    }
}

@Suite("Policies by name")
struct RegistryTests {
    @Test("are all there, and say their names")
    func names() throws {
        for name in RetentionPolicies.names {
            #expect(try RetentionPolicies.named(name).name == name)
        }
        for name in AdmissionPolicies.names {
            #expect(try AdmissionPolicies.named(name).name == name)
        }
        #expect(RetentionPolicies.names.contains(RetentionPolicies.defaultName))
    }

    @Test("an unknown one is refused with the list of the known")
    func unknown() {
        #expect(throws: UnknownPolicy(name: "arc", known: RetentionPolicies.names)) {
            try RetentionPolicies.named("arc")
        }
        #expect(throws: UnknownPolicy(name: "", known: AdmissionPolicies.names)) {
            try AdmissionPolicies.named("")
        }
        let text = UnknownPolicy(name: "arc", known: ["lru", "lfu"]).description
        #expect(text == "no policy is called \"arc\"; known: lru, lfu")
    }
}
