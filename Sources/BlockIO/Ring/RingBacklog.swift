// Requests that wait for a place on the ring, in two lanes that take turns piece by piece. So a
// small read passes a large write after one of its pieces; within a lane the first to come is
// served to its end, so that what was asked for first is complete first, and whoever verifies it
// works while the rest is read.

struct RingBacklog {
    private var urgent = Lane()
    private var bulk = Lane()
    private var turn = LaneTurn()

    var isEmpty: Bool { urgent.isEmpty && bulk.isEmpty }

    mutating func append(_ transfer: RingTransfer) {
        switch transfer.request.lane {
        case .urgent: urgent.waiting.append(transfer)
        case .bulk: bulk.waiting.append(transfer)
        }
    }

    /// The next piece to issue; its length is at most `byteCount`.
    mutating func nextPiece(byteCount: Int, alignment: Int) -> RingPiece? {
        let (first, second) = (urgent.next(), bulk.next())
        let lane = turn.next(hasUrgent: first != nil, hasBulk: second != nil)
        return (lane == .urgent ? first : second)?
            .nextPiece(byteCount: byteCount, alignment: alignment)
    }

    private struct Lane {
        var waiting = FIFO<RingTransfer>()
        /// The request whose pieces are going out.
        var current: RingTransfer?

        var isEmpty: Bool { waiting.isEmpty && current == nil }

        /// A request that failed meanwhile has ended, or ends with the last of its pieces.
        mutating func next() -> RingTransfer? {
            while true {
                if let current, current.hasMore { return current }
                current = waiting.popFirst()
                if current == nil { return nil }
            }
        }
    }
}
