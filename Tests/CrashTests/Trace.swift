// One recorded life, and the image at every effect of it.

import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import Foundation
import Primitives
import SegmentLog
import StoreTestSupport

/// A life that was lived once, with everything needed to crash it anywhere.
struct Trace {
    static let owners = 0..<8 as Range<UInt64>
    let seed: UInt64
    let life: Life
    let disk: SimulatedDisk
    let effects: [Effect]
    /// Effects that made the empty store; `CREATE` takes those.
    let firstCrash: Int

    /// Every other seed lives on a store that is full from its first chunks on, so that segments
    /// are freed and used again in every crash.
    init(seed: UInt64) {
        var shape = Self.shape(isFull: Self.isFull(seed))
        shape.renews = seed % 8 == 3 || seed % 8 == 4
        self.init(seed: seed, shape)
    }

    init(seed: UInt64, _ shape: LifePlan.Shape) {
        self.seed = seed
        let machine = Self.machine(
            seed, isFull: Self.isFull(seed), confines: Self.confines(seed))
        disk = machine.disk
        disk.startRecording()
        let disk = machine.disk
        life = Life(LifePlan(seed: seed, shape), KeyModel { disk.effectCount })
        if let db = try? machine.open() { machine.run { await db.close() } }
        firstCrash = disk.effectCount
        _ = life.run(on: machine.afterRestart())
        effects = disk.effects
    }

    static func isFull(_ seed: UInt64) -> Bool { seed.isMultiple(of: 2) }

    static func shape(isFull: Bool = false) -> LifePlan.Shape {
        var shape = LifePlan.Shape()
        (shape.owners, shape.roundCount, shape.deedsPerRound) = (owners, isFull ? 4 : 2, 1)
        return shape
    }

    /// In every other full store one namespace has two segments for its own.
    static func confines(_ seed: UInt64) -> Bool { seed % 4 == 2 }

    /// Four segments and what is not payload, or more than a life fills.
    static func machine(
        _ seed: UInt64, isFull: Bool = false, confines: Bool = false
    ) -> SimulatedMachine {
        var machine = SimulatedMachine(
            seed: seed, capacity: isFull ? .kibibytes(632) : .mebibytes(16),
            segmentSize: .kibibytes(64))
        if confines {
            machine.options.writeClasses = [WriteClass(id: 7, capacity: .kibibytes(128))]
            machine.options.namespaces["acme", default: .init()].writeClass = 7
        }
        return machine
    }

    /// A machine of its own for an image: nothing of it depends on what was run before.
    private func machine(with make: (SeededScheduler) -> SimulatedDisk) -> SimulatedMachine {
        var machine = Self.machine(
            seed, isFull: Self.isFull(seed), confines: Self.confines(seed))
        machine.disk = make(machine.scheduler)
        return machine
    }

    func image(_ image: Image) -> SimulatedMachine {
        machine { scheduler in
            switch image.loss {
            case .powerCut(let survival):
                disk.crash(afterEffects: image.effectCount, survival, scheduler: scheduler)
            case .processDeath(let seed):
                disk.processDeath(
                    afterEffects: image.effectCount, seed: seed, scheduler: scheduler)
            }
        }
    }

    /// Where and how a trace is crashed.
    struct Image: CustomStringConvertible {
        enum Loss {
            case powerCut(Survival)
            case processDeath(seed: UInt64)
        }
        let effectCount: Int
        /// Among the images of this effect.
        let index: Int
        let loss: Loss

        var kind: KeyModel.Loss {
            if case .powerCut = loss { .powerCut } else { .processDeath }
        }
        var description: String { "effect \(effectCount) image \(index), \(loss)" }
    }

    /// Every way to crash after `count` effects: every survival pattern, the end of the process,
    /// and the write that has just begun torn behind each of its sectors.
    func images(afterEffects count: Int) -> [Image] {
        let seed = seed << 20 ^ UInt64(count)
        var losses = Survival.menu(seed: seed).map(Image.Loss.powerCut)
        losses.append(.processDeath(seed: seed))
        if count > 0, effects[count - 1].operation == .write, effects[count - 1].phase == .begins {
            let sectorCount = effects[count - 1].byteCount / 512
            // Of the long ones, which are mostly padding, some.
            let step = sectorCount > 64 ? sectorCount / 16 : 1
            losses += stride(from: 1, to: sectorCount, by: step).map { sectors in
                let others: SurvivalPattern = sectors % 2 == 0 ? .all : .none
                return .powerCut(
                    Survival(tearingNewestWriteAt: sectors, others: others, seed: seed))
            }
        }
        return losses.enumerated().map { Image(effectCount: count, index: $0, loss: $1) }
    }

    /// The kind of the record that the newest write holds, if it is one.
    func newestRecord(afterEffects count: Int) -> RecordKind? {
        guard let bytes = disk.uncertainWrites(afterEffects: count).last?.bytes else { return nil }
        let magic = RecordPrefix.magic
        let prefix = (0..<4).map { UInt8(truncatingIfNeeded: magic >> ($0 * 8)) }
        guard bytes.count > 6, bytes.starts(with: prefix) else { return nil }
        return RecordKind(rawValue: UInt16(bytes[4]) | UInt16(bytes[5]) << 8)
    }
}
