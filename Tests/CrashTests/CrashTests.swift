// CRASH: the power goes after the k-th effect, for every k, and what no flush had covered survives
// in every pattern (CONTRACT F-B). Acknowledged means durable and findable; removed means gone.

import ChunkDB
import EngineTestSupport
import Foundation
import StoreTestSupport
import Testing

@Suite("A power cut")
struct CrashTests {
    static let patterns = SurvivalPattern.allCases
    /// Every n-th crash point; `CHUNKDB_CRASH_STRIDE=1` takes all.
    static let stride = Int(ProcessInfo.processInfo.environment["CHUNKDB_CRASH_STRIDE"] ?? "") ?? 19

    private func machine(_ seed: UInt64) -> SimulatedMachine {
        SimulatedMachine(seed: seed, segmentSize: .kibibytes(128))
    }

    @Test(
        "REC-8 loses nothing acknowledged and brings nothing back, at every effect",
        arguments: 0..<8)
    func everyEffect(part: Int) {
        let pattern = Self.patterns[part % Self.patterns.count]
        let seed = UInt64(part) + 1
        let whole = machine(seed)
        Workload.run(on: whole, Oracle())
        let effectCount = whole.disk.effectCount
        #expect(effectCount > 300)
        var imageCount = 0
        for stop in Swift.stride(from: part, to: effectCount, by: Self.stride) {
            let oracle = Oracle()
            let machine = machine(seed)
            machine.disk.stop(afterEffects: stop, behaviour: .fail)
            Workload.run(on: machine, oracle)
            let survival = Survival(pattern, seed: UInt64(stop))
            let image = machine.afterPowerCut(survival)
            let wrong = Workload.violations(in: image, oracle)
            #expect(wrong.isEmpty, "seed \(seed) stop \(stop) pattern \(pattern): \(wrong)")
            // Recovery is idempotent (O-2): what it left opens again and says the same.
            let again = Workload.violations(in: image.afterRestart(), oracle)
            #expect(again.isEmpty, "second open, seed \(seed) stop \(stop) \(pattern): \(again)")
            imageCount += 1
            if !wrong.isEmpty { return }
        }
        #expect(imageCount > 0)
    }
}
