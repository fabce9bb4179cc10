// What happened to a simulated medium, in order. A test counts the effects of a trace once, then
// replays the trace and stops the world after each of them.

/// One thing that a disk was asked to do.
public enum DiskOperation: String, Sendable, CaseIterable {
    case read, write, flush
    case open, close, length, allocate, truncate, lock
    case makeDirectory, list, rename, unlink, flushDirectory, freeSpace

    var changesMedium: Bool {
        switch self {
        case .write, .flush, .allocate, .truncate, .makeDirectory, .rename, .unlink,
            .flushDirectory:
            true
        default: false
        }
    }
}

/// The beginning or the end of an operation that can change the medium.
public struct Effect: Sendable, Equatable, CustomStringConvertible {
    public enum Phase: String, Sendable { case begins, ends, fails }

    public let operation: DiskOperation
    public let phase: Phase
    public let file: String
    public let offset: UInt64
    public let byteCount: Int
    public let time: UInt64

    public var description: String {
        "\(time) ns: \(operation) \(file) \(offset)+\(byteCount) \(phase)"
    }
}

struct EffectLog: Sendable {
    private(set) var effects: [Effect] = []
    private(set) var hash = TraceHash()

    mutating func append(_ effect: Effect) {
        effects.append(effect)
        hash.add(effect.operation.rawValue)
        hash.add(effect.phase.rawValue)
        hash.add(effect.file)
        hash.add(effect.offset)
        hash.add(UInt64(effect.byteCount))
        hash.add(effect.time)
    }
}
