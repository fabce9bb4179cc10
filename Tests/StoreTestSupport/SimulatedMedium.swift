// The state behind simulated disks: what a power cut keeps or loses. Every change of it is a
// function of the seed and of the calls, in order.

import BlockIO
import Glibc
import Primitives

/// How a disk behaves once the world has stopped.
public enum StoppedBehaviour: Sendable {
    /// Calls fail with EIO.
    case fail
    /// Calls never return.
    case hang
}

/// How fast and how large a simulated disk is. Times are nanoseconds, drawn evenly from a range.
public struct SimulatedDiskOptions: Sendable {
    public var seed: UInt64 = 0
    public var alignment = 4_096
    public var capacityBytes: UInt64 = 1 << 40
    public var transferTime: ClosedRange<UInt64> = 20_000...400_000
    public var flushTime: ClosedRange<UInt64> = 100_000...2_000_000
    public var controlTime: ClosedRange<UInt64> = 2_000...60_000
    /// One in this many transfers comes back short once and is continued; 0 for none.
    public var shortTransferOdds = 0
    public init(seed: UInt64 = 0) { self.seed = seed }
}

/// What a planned fault does to a call.
public enum FaultKind: Hashable, Sendable, CustomStringConvertible {
    /// The call fails; of a write, any part may have arrived.
    case error(Int32)
    /// A read ends early, as at a file's end; of a write, the first part arrives, then it fails.
    case short
    /// A read finds nothing, as behind a file's end; of a write nothing arrives, and it fails.
    case zero
    /// A flush fails with EIO, and the device forgets some of what it should have covered: readers
    /// see the old bytes there.
    case lossy

    var errorNumber: Int32 {
        if case .error(let number) = self { number } else { EIO }
    }

    public var description: String {
        switch self {
        case .error(let number): "error \(number)"
        case .short: "short"
        case .zero: "zero"
        case .lossy: "lossy"
        }
    }
}

struct SimulatedMedium: Sendable {
    struct Handle: Sendable {
        let opener: Int
        let name: String
        let file: Int
        let isWritable: Bool
        var useCount = 0
        var whenIdle: (@Sendable () -> Void)?
    }
    struct Transfer: Sendable {
        let opener: Int
        let file: Int
        let range: Range<UInt64>
        let isWrite: Bool
    }
    struct Fault: Sendable {
        let operation: DiskOperation
        var countdown: Int
        let kind: FaultKind
        let isForever: Bool
    }

    let options: SimulatedDiskOptions
    var generator: SeededGenerator
    var files: [Int: SimulatedFile] = [:]
    var names = SimulatedNames()
    var handles: [FileID: Handle] = [:]
    var transfers: [UInt64: Transfer] = [:]
    var lockOwners: [Int: FileID] = [:]
    var faults: [Fault] = []
    /// Blocks of 4 KiB of each file that cannot be read until they are written again.
    var badBlocks: [Int: Set<Int>] = [:]
    /// Calls so far, of each kind, and how many of them a planned fault has hit.
    var callCounts: [DiskOperation: Int] = [:]
    var faultHitCount = 0
    var log = EffectLog()
    var stopAfter = Int.max
    var stopped: StoppedBehaviour?
    var behaviourWhenStopped = StoppedBehaviour.fail
    /// The medium before each effect, while a trace is recorded: see `EffectRecording`.
    var moments: [SimulatedMedium]?
    private var nextNumber: UInt64 = 1

    init(_ options: SimulatedDiskOptions) {
        self.options = options
        generator = SeededGenerator(seed: options.seed)
    }

    mutating func number() -> UInt64 {
        defer { nextNumber += 1 }
        return nextNumber
    }

    // MARK: Effects

    /// Enters an effect; *returns:* whether it still happens.
    mutating func enter(_ effect: Effect) -> Bool {
        if stopped != nil { return false }
        rememberMoment()
        log.append(effect)
        stopIfDue()
        return true
    }

    mutating func stopIfDue() {
        if log.effects.count >= stopAfter { stopped = behaviourWhenStopped }
    }

    /// The trouble that a planned fault gives to this call.
    mutating func fault(_ operation: DiskOperation) -> FaultKind? {
        callCounts[operation, default: 0] += 1
        var result: FaultKind?
        for index in faults.indices where faults[index].operation == operation {
            faults[index].countdown -= 1
            let count = faults[index].countdown
            if count == 0 || (count < 0 && faults[index].isForever) {
                result = result ?? faults[index].kind
            }
        }
        if result != nil { faultHitCount += 1 }
        return result
    }

    func isBad(_ file: Int, _ range: Range<UInt64>) -> Bool {
        guard let bad = badBlocks[file], !bad.isEmpty else { return false }
        let unit = UInt64(BlockMap.blockBytes)
        return bad.contains {
            (UInt64($0) * unit..<UInt64($0 + 1) * unit).overlaps(range)
        }
    }

    // MARK: Space

    var usedByteCount: UInt64 {
        let open = Set(handles.values.map(\.file))
        var named: Set<Int> = []
        for case .file(let file) in names.current.values { named.insert(file) }
        return open.union(named).reduce(0) { $0 + UInt64(files[$1]!.allocatedByteCount) }
    }

    var freeByteCount: UInt64 {
        let used = usedByteCount
        return options.capacityBytes > used ? options.capacityBytes - used : 0
    }

    /// Whether a file may grow to `byteCount`.
    func hasSpace(_ file: Int, for byteCount: UInt64) -> Bool {
        let allocated = UInt64(files[file]!.allocatedByteCount)
        return byteCount <= allocated || byteCount - allocated <= freeByteCount
    }

    mutating func forgetUnreachable() {
        let open = Set(handles.values.map(\.file))
        let reachable = names.reachableFiles
        for file in files.keys.sorted() where !open.contains(file) && !reachable.contains(file) {
            files[file] = nil
        }
    }

    // MARK: Crash

    func crashed(_ survival: Survival) -> SimulatedMedium {
        var generator = SeededGenerator(seed: survival.seed ^ 0xC4A5_4ED0)
        var options = options
        options.seed = generator.next()
        var image = SimulatedMedium(options)
        let torn = survival.newestWriteSectors == nil ? nil : newestWrite?.number
        for file in files.keys.sorted() {
            image.files[file] = files[file]!.crashed(survival, torn: torn, &generator)
        }
        image.names = names.crashed(survival, &generator)
        image.badBlocks = badBlocks
        image.nextNumber = nextNumber
        image.forgetUnreachable()
        return image
    }

    func abandoned(seed: UInt64) -> SimulatedMedium {
        var generator = SeededGenerator(seed: seed ^ 0xDEAD_0B5E)
        var options = options
        options.seed = generator.next()
        var image = SimulatedMedium(options)
        image.files = files
        for file in files.keys.sorted() { image.files[file]!.abandon(&generator) }
        image.names = names
        image.badBlocks = badBlocks
        image.nextNumber = nextNumber
        image.forgetUnreachable()
        return image
    }
}
