import Testing

@testable import BlockIO

@Suite struct RingBacklogTests {
    private static let unit = 4_096
    private static let pieceBytes = 4 * unit
    private let file = OpenFile(id: FileID(1), name: "data", descriptor: -1)

    private func transfer(_ pieces: Int, at offset: UInt64, _ lane: IOLane) -> RingTransfer {
        let slice = IOSlice(address: 0, byteCount: pieces * Self.pieceBytes, owner: nil)
        let request = IORequest(
            .write, file: FileID(1), offset: offset, slice: slice, lane: lane
        ) { _ in }
        return RingTransfer(request, file)
    }

    /// (offset of the request, start of the piece), in the order of issue.
    private func drain(_ backlog: inout RingBacklog) -> [[Int]] {
        var order: [[Int]] = []
        while let piece = backlog.nextPiece(byteCount: Self.pieceBytes, alignment: Self.unit) {
            order.append([Int(piece.transfer.request.offset), piece.start / Self.pieceBytes])
        }
        return order
    }

    @Test func largeRequestsAreServedToTheirEndInOrder() {
        var backlog = RingBacklog()
        backlog.append(transfer(3, at: 10, .bulk))
        backlog.append(transfer(2, at: 20, .bulk))
        #expect(drain(&backlog) == [[10, 0], [10, 1], [10, 2], [20, 0], [20, 1]])
        #expect(backlog.isEmpty)
    }

    @Test func urgentRequestsPassBetweenTwoPiecesAndStarveNobody() {
        var backlog = RingBacklog()
        backlog.append(transfer(3, at: 10, .bulk))
        for offset in 1...9 { backlog.append(transfer(1, at: UInt64(offset), .urgent)) }
        #expect(
            drain(&backlog) == [
                [1, 0], [2, 0], [3, 0], [4, 0], [10, 0], [5, 0], [6, 0], [7, 0], [8, 0], [10, 1],
                [9, 0], [10, 2],
            ])
        #expect(backlog.isEmpty)
    }

    @Test func anUrgentRequestOfManyPiecesTakesTurnsToo() {
        var backlog = RingBacklog()
        backlog.append(transfer(6, at: 10, .urgent))
        backlog.append(transfer(2, at: 20, .bulk))
        let order = drain(&backlog)
        #expect(order.map { $0[0] } == [10, 10, 10, 10, 20, 10, 10, 20])
    }

    @Test func theLaneIsByTheSizeUnlessTheCallerSaysIt() {
        func lane(_ byteCount: Int, _ asked: IOLane? = nil) -> IOLane {
            IORequest(
                .read, file: FileID(1), offset: 0,
                slice: IOSlice(address: 0, byteCount: byteCount, owner: nil), lane: asked
            ) { _ in }.lane
        }
        #expect(lane(4_096) == .urgent && lane(262_144) == .urgent && lane(266_240) == .bulk)
        #expect(lane(4_096, .bulk) == .bulk && lane(1 << 20, .urgent) == .urgent)
    }

    @Test func aRequestThatFailedIssuesNoMore() {
        var backlog = RingBacklog()
        backlog.append(transfer(3, at: 10, .bulk))
        backlog.append(transfer(2, at: 20, .bulk))
        let first = backlog.nextPiece(byteCount: Self.pieceBytes, alignment: Self.unit)!
        #expect(first.transfer.finish(first, .failed(5)) != nil)
        #expect(drain(&backlog) == [[20, 0], [20, 1]])
    }
}
