// The test's hand on a simulated disk: power cuts, failures, and the bytes themselves.

import BlockIO
import Primitives
import Synchronization

extension SimulatedDisk {
    // MARK: Power cuts

    /// The disk as a power cut at this moment may leave it. This disk is not touched, so one trace
    /// gives many images. Nobody has the new one open.
    public func crash(_ survival: Survival, scheduler: SeededScheduler? = nil) -> SimulatedDisk {
        let image = medium.state.withLock { $0.crashed(survival) }
        return SimulatedDisk(
            scheduler: scheduler ?? self.scheduler, medium: SharedMedium(image))
    }

    /// The disk as the death of its process leaves it (F-A): what completed stays, unflushed, and
    /// each request in flight completed or failed.
    public func afterProcessDeath(
        seed: UInt64, scheduler: SeededScheduler? = nil
    ) -> SimulatedDisk {
        let image = medium.state.withLock { $0.abandoned(seed: seed) }
        return SimulatedDisk(
            scheduler: scheduler ?? self.scheduler, medium: SharedMedium(image))
    }

    /// Beginnings and ends of operations that can change the medium, so far. Every number from 0
    /// to the count of a whole trace is a crash point of it.
    public var effectCount: Int { medium.state.withLock { $0.log.effects.count } }

    public var effects: [Effect] { medium.state.withLock { $0.log.effects } }

    /// Equal for equal traces, times and all.
    public var traceHash: UInt64 { medium.state.withLock { $0.log.hash.value } }

    /// Lets `count` effects happen from the disk's making on, and none after them.
    public func stop(afterEffects count: Int, behaviour: StoppedBehaviour = .fail) {
        medium.state.withLock { state in
            state.stopAfter = count
            state.behaviourWhenStopped = behaviour
            state.stopIfDue()
        }
    }

    public var isStopped: Bool { medium.state.withLock { $0.stopped != nil } }

    // MARK: Failures

    /// Makes the `number`th call of its kind from now fail, or all from there on.
    public func fail(
        _ operation: DiskOperation, number: Int = 1, errorNumber: Int32, forever: Bool = false
    ) {
        fail(operation, number: number, .error(errorNumber), forever: forever)
    }

    public func fail(
        _ operation: DiskOperation, number: Int = 1, _ kind: FaultKind, forever: Bool = false
    ) {
        medium.state.withLock {
            $0.faults.append(
                SimulatedMedium.Fault(
                    operation: operation, countdown: number, kind: kind, isForever: forever))
        }
    }

    /// Calls of a kind so far, on this medium.
    public func callCount(of operation: DiskOperation) -> Int {
        medium.state.withLock { $0.callCounts[operation] ?? 0 }
    }

    /// Calls that a planned fault has hit since the faults were cleared.
    public var faultHitCount: Int { medium.state.withLock { $0.faultHitCount } }

    /// Ends all planned faults, and forgets which were hit.
    public func clearFailures() {
        medium.state.withLock { ($0.faults, $0.faultHitCount) = ([], 0) }
    }

    // MARK: Bytes

    /// Every file by name, sorted.
    public var fileNames: [String] {
        medium.state.withLock { state in
            state.names.current.filter { $0.value != .directory }.keys.sorted()
        }
    }

    /// What all files that have a name take on the medium.
    public var allocatedByteCount: Int {
        fileNames.reduce(0) { $0 + withFile($1) { $0.allocatedByteCount } }
    }

    public func fileByteCount(_ name: String) -> Int {
        withFile(name) { $0.byteCount }
    }

    public func bytes(of name: String, _ range: Range<Int>? = nil) -> [UInt8] {
        withFile(name) { file in
            let range = range ?? 0..<file.byteCount
            return file.content.bytes(at: range.lowerBound, count: range.count)
        }
    }

    /// Changes bytes on the medium, durably and behind everybody's back.
    public func setBytes(_ bytes: [UInt8], of name: String, at offset: Int) {
        withFile(name) { $0.overwrite(bytes, at: offset) }
    }

    /// Flips one bit on the medium.
    public func flip(_ name: String, byte: Int, bit: Int) {
        withFile(name) { $0.flip(byte: byte, bit: bit) }
    }

    /// Makes blocks of 4 KiB unreadable, until they are written again or `heal`.
    public func spoil(_ name: String, blocks: Range<Int>) {
        medium.state.withLock { state in
            guard case .file(let file) = state.names[name] else {
                preconditionFailure("the simulated disk has no file \(name)")
            }
            state.badBlocks[file, default: []].formUnion(blocks)
        }
    }

    /// Every block can be read again.
    public func heal() { medium.state.withLock { $0.badBlocks = [:] } }

    /// Makes the file this long, durably and behind everybody's back.
    public func setByteCount(_ byteCount: Int, of name: String) {
        withFile(name) { $0.overwriteByteCount(byteCount) }
    }

    /// Removes a file's name, durably and behind everybody's back.
    public func removeFile(_ name: String) {
        medium.state.withLock { state in
            state.names.remove(name)
            state.names.completeFlush(
                of: SimulatedNames.parent(name), state.names.flushScope)
        }
    }

    /// Adds a file, durably and behind everybody's back.
    public func addFile(_ name: String, _ bytes: [UInt8]) {
        medium.state.withLock { state in
            let file = Int(state.number())
            state.files[file] = SimulatedFile()
            state.files[file]!.overwriteByteCount(bytes.count)
            state.files[file]!.overwrite(bytes, at: 0)
            state.names.add(name, .file(file))
            state.names.completeFlush(
                of: SimulatedNames.parent(name), state.names.flushScope)
        }
    }

    private func withFile<Value: Sendable>(
        _ name: String, _ body: (inout SimulatedFile) -> Value
    ) -> Value {
        medium.state.withLock { state in
            guard case .file(let file) = state.names[name] else {
                preconditionFailure("the simulated disk has no file \(name)")
            }
            return body(&state.files[file]!)
        }
    }
}
