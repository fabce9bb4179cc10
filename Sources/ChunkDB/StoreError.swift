import BlockIO
import ChunkFormat
import KVModel
import Primitives
import Retention
import SegmentLog

/// Everything that can go wrong at the engine's face. A miss is not an error: it is `nil`.
public enum StoreError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The disk or the log: no space, no permission, a lock, a degraded store, a full budget…
    case log(LogError)
    /// Bytes that were stored do not verify. The rest of the store is not affected.
    case damaged(DamageFacts)
    /// The namespace is bound to another model.
    case bindingMismatch(namespace: String, expected: String, found: String)
    /// What was handed in does not have the shape of the namespace's model.
    case shape(what: String, expected: String, found: String)
    case modelBinding(ModelBindingError)
    /// Names have 1 to 255 bytes.
    case invalidName(String)
    case noSuchNamespace(String)
    case unknownPolicy(UnknownPolicy)
    /// The namespace, or what is pinned, would have more than it may. Nothing was written.
    case quotaExceeded(QuotaFacts)
    /// The memory that a feed was given has no room for a layer now.
    case noRoom(byteCount: Int)
    /// The lease's time is over, it was ended, or the store was closed.
    case leaseEnded
    /// The store was opened by another process, which this one was forked off. Nothing of it can
    /// be used here; the child can open the store itself once nobody else has it open.
    case forked
    /// The caller's task was cancelled, or its deadline passed. Only its wait has ended: a change
    /// that was on its way may come true later, or be true already, as after any error (P-3).
    case cancelled

    /// What a disk's word is to a caller of the store.
    init(_ error: DiskError) {
        self = error.code == .cancelled ? .cancelled : .log(.disk(error))
    }

    public var description: String {
        switch self {
        case .log(let error): "\(error)"
        case .damaged(let facts): "\(facts)"
        case .bindingMismatch(let namespace, let expected, let found):
            "namespace \(namespace): bound to model \(expected), not \(found)"
        case .shape(let what, let expected, let found):
            "\(what): expected \(expected), found \(found)"
        case .modelBinding(let error): "\(error)"
        case .invalidName(let name):
            "namespace name of \(name.utf8.count) bytes; 1 to 255 are allowed"
        case .noSuchNamespace(let name): "no namespace \(name)"
        case .unknownPolicy(let error): "\(error)"
        case .quotaExceeded(let facts): "\(facts)"
        case .noRoom(let byteCount): "a feed's memory has no room for \(byteCount) bytes now"
        case .leaseEnded: "the lease has ended"
        case .forked: "the store was opened by the process that this one was forked off"
        case .cancelled:
            "cancelled: the wait has ended; whether the call took effect is not known"
        }
    }
}

/// Where stored bytes were found wrong, and what was expected there.
public struct DamageFacts: Hashable, Sendable, CustomStringConvertible {
    public let key: ChunkKey
    public let variant: VariantID
    public let file: String
    public let offset: UInt64
    public let cause: FormatError

    public var description: String {
        "damaged: chunk \(key) variant \(variant): \(file) at byte \(offset): \(cause)"
    }
}
