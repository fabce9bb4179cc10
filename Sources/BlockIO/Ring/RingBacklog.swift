// Requests that wait for a place on the ring, in two rows that take turns: those of one piece, and
// larger ones. So a small read passes a large write after one of its pieces; within a row the first
// to come is served to its end, so that what was asked for first is complete first, and whoever
// verifies it works while the rest is read.

struct RingBacklog {
    private var small = FIFO<RingTransfer>()
    private var large = FIFO<RingTransfer>()
    /// The large request whose pieces are going out.
    private var current: RingTransfer?
    private var isSmallNext = true

    var isEmpty: Bool { small.isEmpty && large.isEmpty && current == nil }

    mutating func append(_ transfer: RingTransfer, isLarge: Bool) {
        if isLarge { large.append(transfer) } else { small.append(transfer) }
    }

    /// The next piece to issue; its length is at most `byteCount`.
    mutating func nextPiece(byteCount: Int, alignment: Int) -> RingPiece? {
        defer { isSmallNext.toggle() }
        guard let transfer = isSmallNext ? nextSmall() ?? nextLarge() : nextLarge() ?? nextSmall()
        else { return nil }
        return transfer.nextPiece(byteCount: byteCount, alignment: alignment)
    }

    private mutating func nextSmall() -> RingTransfer? { small.popFirst() }

    /// A large request that failed meanwhile has ended, or ends with the last of its pieces.
    private mutating func nextLarge() -> RingTransfer? {
        while true {
            if let current, current.hasMore { return current }
            current = large.popFirst()
            if current == nil { return nil }
        }
    }
}
