// Two lanes to the device, so that a small read does not wait behind a huge feed. Both engines hold
// what cannot go out yet in two rows, and one rule says whose turn it is.

/// How a request waits for its turn.
public enum IOLane: Sendable, Hashable {
    /// Somebody waits for just this: small reads, the first layer of a prompt, commit records.
    case urgent
    /// One of many: the bulk of a feed, the payload of a put.
    case bulk
}

/// Whose turn it is. While both wait, a few urgent requests go before each bulk one: the urgent are
/// soon served, and bulk never starves.
struct LaneTurn {
    /// Four requests of at most `IORequest.urgentBytesMax` are one piece of a bulk request: small
    /// reads take half of the bytes at most.
    static let urgentBurst = 4
    private var urgentCount = 0

    mutating func next(hasUrgent: Bool, hasBulk: Bool) -> IOLane? {
        if hasUrgent, !hasBulk || urgentCount < Self.urgentBurst {
            urgentCount = hasBulk ? urgentCount + 1 : 0
            return .urgent
        }
        urgentCount = 0
        return hasBulk ? .bulk : nil
    }
}
