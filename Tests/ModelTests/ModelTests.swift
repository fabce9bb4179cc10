import EngineTestSupport
import Foundation
import Testing

/// Random scripts against a dictionary. `CHUNKDB_MODEL_SEEDS=5000` runs more,
/// `CHUNKDB_MODEL_SEED=17` one.
@Suite("The store and a dictionary")
struct ModelTests {
    static let environment = ProcessInfo.processInfo.environment
    static let partCount: UInt64 = 4
    static let seeds: Range<UInt64> = {
        if let one = UInt64(environment["CHUNKDB_MODEL_SEED"] ?? "") { return one..<one + 1 }
        return 0..<(UInt64(environment["CHUNKDB_MODEL_SEEDS"] ?? "") ?? 150)
    }()

    @Test(
        "REC-8 C-1 agree after every script of puts, removals, crashes and faults",
        arguments: 0..<partCount)
    func scripts(part: UInt64) {
        for seed in Self.seeds where seed % Self.partCount == part {
            let script = Script(seed: seed)
            guard let wrong = Self.failure(of: script) else { continue }
            let short = script.shrunk { Self.failure(of: $0) != nil }
            let last = Self.failure(of: short) ?? "no longer"
            Issue.record("\(wrong)\n\(script)\nshrunk to\n\(short)\n\(last)")
            return
        }
    }

    private static func failure(of script: Script) -> String? {
        do {
            try Model.run(script)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test("a failing script is made shorter without losing its failure")
    func shrinking() {
        let script = Script(seed: 5)
        let short = script.shrunk { candidate in
            candidate.steps.contains { if case .reopen = $0 { true } else { false } }
        }
        #expect(short.steps.count == 1)
        #expect(short.description.contains("reopen"))
    }
}
