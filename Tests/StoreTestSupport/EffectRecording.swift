// One run, all its crash points: while a trace is recorded the medium remembers itself before every
// effect. Copies share what did not change between them, so that a moment costs little more than
// the file that changed, and an image at any effect needs no second run.

import Synchronization

/// A write that no flush has covered, as a crash finds it.
public struct UncertainWrite: Sendable {
    public let file: String
    public let offset: Int
    public let bytes: [UInt8]
    public var sectorCount: Int { bytes.count / SimulatedFile.sectorBytes }
}

extension SimulatedDisk {
    /// Remembers the medium before every effect from now on; openings of the same medium share it.
    /// Nothing may have happened before: effects are counted from the disk's making.
    public func startRecording() {
        medium.state.withLock { state in
            precondition(state.log.effects.isEmpty, "recording begins with the disk")
            state.moments = []
        }
    }

    /// The disk as a power cut after the first `count` effects may leave it: what
    /// `stop(afterEffects:)` and `crash` give, without another run.
    public func crash(
        afterEffects count: Int, _ survival: Survival, scheduler: SeededScheduler
    ) -> SimulatedDisk {
        let image = moment(count).crashed(survival)
        return SimulatedDisk(scheduler: scheduler, medium: SharedMedium(image))
    }

    /// The disk as the death of its process after `count` effects leaves it.
    public func processDeath(
        afterEffects count: Int, seed: UInt64, scheduler: SeededScheduler
    ) -> SimulatedDisk {
        let image = moment(count).abandoned(seed: seed)
        return SimulatedDisk(scheduler: scheduler, medium: SharedMedium(image))
    }

    /// What a power cut after `count` effects leaves to chance, oldest first; the last is the one
    /// that `Survival.newestWriteSectors` tears.
    public func uncertainWrites(afterEffects count: Int) -> [UncertainWrite] {
        let moment = moment(count)
        return moment.uncertainWrites.map { file, write in
            UncertainWrite(
                file: moment.name(of: file), offset: write.offset, bytes: write.bytes)
        }
    }

    private func moment(_ count: Int) -> SimulatedMedium {
        medium.state.withLock { state in
            guard let moments = state.moments, count <= moments.count else {
                preconditionFailure("effect \(count) was not recorded")
            }
            return count == moments.count ? state : moments[count]
        }
    }
}

extension SimulatedMedium {
    mutating func rememberMoment() {
        guard moments != nil else { return }
        var moment = self
        // Neither belongs to the medium, and a shared array would be copied at every effect.
        moment.moments = nil
        moment.log = EffectLog()
        moments!.append(moment)
    }

    var uncertainWrites: [(file: Int, write: PendingWrite)] {
        files.flatMap { file, content in content.uncertainWrites.map { (file, $0) } }
            .sorted { $0.write.number < $1.write.number }
    }

    var newestWrite: PendingWrite? { uncertainWrites.last?.write }

    func name(of file: Int) -> String {
        names.current.first { $0.value == .file(file) }?.key ?? "a file without a name"
    }
}
