// What a caller of a put is told.

/// How a put ended.
public enum CommitOutcome: Sendable, Equatable {
    case committed
    /// The key was there before; its bytes stay, ours are dropped (CONTRACT P-5).
    case alreadyPresent
    /// Admission turned it away; the log was not asked.
    case declined
}
