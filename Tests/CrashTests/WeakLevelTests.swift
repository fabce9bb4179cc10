// CRASH, below durable: several commits may be unflushed at once. After a power cut every key is in
// a state it passed through, no older than its last durable one (CONTRACT P-6; of different keys
// nothing is said), and nothing that was merely lost is called damaged.

import ChunkDB
import EngineTestSupport
import Primitives
import StoreTestSupport
import Synchronization
import Testing

@Suite("A power cut below durable")
struct WeakLevelTests {
    private static let owners = 0..<6 as Range<UInt64>

    /// One caller's operations, in order: what the keys were after each, and how far it got.
    private final class History: Sendable {
        struct State {
            /// `states[n]`: the chunks that are there after n operations.
            var states: [Set<UInt64>] = [[]]
            var returnedCount = 0
            var durableCount = 0
        }
        let state = Mutex(State())
    }

    private func machine(_ seed: UInt64) -> SimulatedMachine {
        SimulatedMachine(seed: seed, segmentSize: .kibibytes(128))
    }

    private func chunk(_ owner: UInt64) -> TestChunk {
        TestChunk(owner, tokenCount: 16 + Int(owner % 3) * 20)
    }

    /// Puts and removes at random levels, with barriers and a checkpoint between.
    private func life(on machine: SimulatedMachine, _ seed: UInt64, _ history: History) {
        _ = machine.scheduler.waitUnlessStuck { () async -> Bool in
            (try? await operate(machine, seed, history)) != nil
        }
    }

    private func operate(_ machine: SimulatedMachine, _ seed: UInt64, _ history: History)
        async throws
    {
        var generator = SeededGenerator(seed: seed)
        let db = try await machine.openAsync()
        let space = try await db.namespace("acme", model: smallBinding(layers: 2))
        for step in 0..<24 {
            let owner = UInt64.random(in: Self.owners, using: &generator)
            var next = history.state.withLock { $0.states.last! }
            let isPut = next.insert(owner).inserted
            if !isPut { next.remove(owner) }
            let after = next
            let isDurable = Int.random(in: 0..<4, using: &generator) == 0
            let level: Durability = isDurable ? .durable : .written
            history.state.withLock { $0.states.append(after) }
            if isPut {
                try await chunk(owner).put(in: space, durability: level)
            } else {
                try await space.remove(chunk(owner).key(in: space), durability: level)
            }
            if step == 13 {
                try await db.checkpoint()
            } else if step % 9 == 8 {
                try await db.barrier()
            }
            let isFlushed = isDurable || step == 13 || step % 9 == 8
            history.state.withLock { state in
                state.returnedCount = step + 1
                if isFlushed { state.durableCount = step + 1 }
            }
        }
        await db.close()
    }

    /// What is there after a crash; `nil` and an issue when it does not open cleanly.
    private func found(in machine: SimulatedMachine) throws -> Set<UInt64> {
        let db = try machine.open()
        guard db.recovery.damages.isEmpty else { throw Wrong("\(db.recovery.damages)") }
        return try machine.run { () async throws in
            var present: Set<UInt64> = []
            if let space = db.namespace("acme") {
                for owner in Self.owners {
                    guard let isIntact = try await chunk(owner).isIntact(in: space) else {
                        continue
                    }
                    guard isIntact else { throw Wrong("chunk \(owner): wrong bytes") }
                    present.insert(owner)
                }
            }
            await db.close()
            return present
        }
    }

    /// Keys that were never as they were found.
    private func wrongKeys(_ found: Set<UInt64>, _ states: ArraySlice<Set<UInt64>>) -> [UInt64] {
        Self.owners.filter { owner in
            states.allSatisfy { $0.contains(owner) != found.contains(owner) }
        }
    }

    private struct Wrong: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    @Test("P-6 RCV-20 leaves every key in a state it passed through", arguments: 0..<8)
    func everyEffect(part: Int) {
        let seed = UInt64(part) + 21
        let whole = machine(seed)
        life(on: whole, seed, History())
        let effectCount = whole.disk.effectCount
        #expect(effectCount > 100)
        var lostCount = 0
        for stop in Swift.stride(from: part, to: effectCount, by: 2 * CrashTests.stride) {
            let history = History()
            let machine = machine(seed)
            machine.disk.stop(afterEffects: stop, behaviour: .fail)
            life(on: machine, seed, history)
            let (states, returned, durable) = history.state.withLock {
                ($0.states, $0.returnedCount, $0.durableCount)
            }
            for pattern in SurvivalPattern.allCases {
                let survival = Survival(pattern, seed: UInt64(stop))
                let what = "seed \(seed) stop \(stop) \(pattern)"
                do {
                    let image = machine.afterPowerCut(survival)
                    let found = try found(in: image)
                    #expect(wrongKeys(found, states[durable...]).isEmpty, "\(what)")
                    if !wrongKeys(found, states[returned...]).isEmpty { lostCount += 1 }
                    #expect(try self.found(in: image.afterRestart()) == found, "\(what), again")
                } catch {
                    Issue.record("\(what): \(error)")
                    return
                }
            }
            // The end of the process alone takes nothing that had returned.
            do {
                var image = machine
                image.disk = machine.disk.afterProcessDeath(seed: UInt64(stop))
                let found = try found(in: image)
                #expect(
                    wrongKeys(found, states[returned...]).isEmpty,
                    "seed \(seed) stop \(stop): death")
            } catch {
                Issue.record("seed \(seed) stop \(stop), death: \(error)")
                return
            }
        }
        #expect(lostCount > 0, "no cut ever took a written operation: the test proves nothing")
    }
}
