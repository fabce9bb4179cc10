// SIM: random lives with random settings and random trouble, against a model whose payloads name
// their true owner. First safety: sessions of operations end in a closing, the death of the process
// or a power cut, with faults now and then, and whatever is found is allowed. Then liveness: the
// trouble is over, and everything must work at once, to the last byte.
//
// CHUNKDB_SIM=n lives n seeds; CHUNKDB_SIM_SEED=n one, as a failure prints it.

import BlockIO
import ChunkDB
import EngineTestSupport
import Foundation
import Glibc
import Primitives
import SegmentLog
import StoreTestSupport
import Synchronization
import Testing

@Suite("SIM: random lives")
struct SimTests {
    static let environment = ProcessInfo.processInfo.environment
    static let partCount = 4
    static let seeds: Range<UInt64> = {
        if let one = environment["CHUNKDB_SIM_SEED"].flatMap(UInt64.init) { return one..<one + 1 }
        return 0..<(environment["CHUNKDB_SIM"].flatMap(UInt64.init) ?? 1_000)
    }()
    static let marks = [
        "closing", "powerCut", "processDeath", "fault hit", "refused: disk", "refused: degraded",
        "refused: capacity", "opening refused", "dropped record",
        "dropped commit", "journal copy mended", "store without a checkpoint",
        "short transfers", "kept promise", "revived", "freed segment", "moved record",
        "segment of a class begun again", "may not forget", "renewed, and found again",
    ]

    private static let met = Marks()
    private static let nextSeed = Atomic<UInt64>(seeds.lowerBound)
    private static let finishedPartCount = Atomic(0)

    @Test("N-1 N-2 N-3 N-4 P-6 O-2 every life is allowed, and ends well", arguments: 0..<partCount)
    func lives(part: Int) {
        while true {
            let seed = Self.nextSeed.add(1, ordering: .relaxed).oldValue
            guard seed < Self.seeds.upperBound else { break }
            var life = RandomLife(seed: seed, Self.met)
            let wrong = life.run()
            #expect(wrong == [], "CHUNKDB_SIM_SEED=\(seed)")
            if !wrong.isEmpty { return }
            Self.met.hit("seeds")
        }
        let finished = Self.finishedPartCount.add(1, ordering: .relaxed).newValue
        guard finished == Self.partCount else { return }
        print("SIM: seeds \(Self.seeds), \(Self.met.summary)")
        if Self.seeds.count >= 1_000 {
            #expect(Self.met.missing(of: Self.marks) == [], "\(Self.met.summary)")
        }
    }
}
