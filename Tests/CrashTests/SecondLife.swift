// Goes on from an image and is crashed again: a store that recovers into a latent bad state is
// caught here.

import ChunkDB
import EngineTestSupport
import Primitives
import StoreTestSupport
import Synchronization

final class SecondLife: Sendable {
    private let life: Life
    /// Where to open the store.
    let machine: SimulatedMachine
    private let seed: UInt64
    private let firstLoss: KeyModel.Loss
    /// Effects of the opening.
    private let openedCount = Mutex(0)

    init(after loss: KeyModel.Loss, seed: UInt64, _ machine: SimulatedMachine) {
        var shape = LifePlan.Shape()
        (shape.owners, shape.roundCount, shape.reopens) = (Trace.owners, 2, false)
        shape.firstEdition = 1_000
        let disk = machine.disk
        life = Life(LifePlan(seed: seed, shape), KeyModel { disk.effectCount })
        (self.machine, self.seed, firstLoss) = (life.observed(machine), seed, loss)
    }

    func live(after db: ChunkDB) async {
        let opened = machine.disk.effectCount
        openedCount.withLock { $0 = opened }
        var found: [UInt64: UInt64?] = [:]
        for owner in Trace.owners {
            let chunk = OwnedChunk(owner)
            let state = try? await chunk.read(in: db.namespace(OwnedChunk.spaceName(chunk.space)))
            if case .edition(let edition) = state {
                found[owner] = .some(edition)
            } else {
                found[owner] = .some(nil)
            }
        }
        life.model.adopt(found, durableSince: firstLoss == .powerCut ? 0 : opened)
        await life.run(life.plan.turns[...], db, on: machine)
    }

    /// What is wrong after a cut at a random effect since the first crash.
    func crash() -> [String] {
        let wrong =
            life.violations
            + life.refusals.filter { !CrashTests.isFull($0) }.map { "refused: \($0)" }
        var generator = SeededGenerator(seed: seed)
        // What the death of a process left, a cut before the flushes of the opening may still take.
        let first = firstLoss == .powerCut ? 0 : openedCount.withLock { $0 }
        let count = Int.random(in: first...machine.disk.effectCount, using: &generator)
        var image = SimulatedMachine(seed: seed)
        image.options = machine.options
        image.disk = machine.disk.crash(
            afterEffects: count, .drawn(seed: seed), scheduler: image.scheduler)
        return wrong
            + life.examine(
                image, owners: Trace.owners, after: .powerCut, afterEffects: count
            ).violations.map { "after a second crash, effect \(count): \($0)" }
    }
}
