import Testing

@testable import BlockIO

@Suite struct RingBacklogTests {
    private static let unit = 4_096
    private static let pieceBytes = 4 * unit
    private let file = OpenFile(id: FileID(1), name: "data", descriptor: -1)

    private func transfer(_ pieces: Int, at offset: UInt64) -> RingTransfer {
        let slice = IOSlice(address: 0, byteCount: pieces * Self.pieceBytes, owner: nil)
        let request = IORequest(.write, file: FileID(1), offset: offset, slice: slice) { _ in }
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
        backlog.append(transfer(3, at: 10), isLarge: true)
        backlog.append(transfer(2, at: 20), isLarge: true)
        #expect(drain(&backlog) == [[10, 0], [10, 1], [10, 2], [20, 0], [20, 1]])
        #expect(backlog.isEmpty)
    }

    @Test func smallRequestsPassBetweenTwoPiecesAndStarveNobody() {
        var backlog = RingBacklog()
        backlog.append(transfer(3, at: 10), isLarge: true)
        for offset in 1...4 { backlog.append(transfer(1, at: UInt64(offset)), isLarge: false) }
        #expect(
            drain(&backlog) == [[1, 0], [10, 0], [2, 0], [10, 1], [3, 0], [10, 2], [4, 0]])
    }

    @Test func aRequestThatFailedIssuesNoMore() {
        var backlog = RingBacklog()
        backlog.append(transfer(3, at: 10), isLarge: true)
        backlog.append(transfer(2, at: 20), isLarge: true)
        let first = backlog.nextPiece(byteCount: Self.pieceBytes, alignment: Self.unit)!
        #expect(first.transfer.finish(first, .failed(5)) != nil)
        #expect(drain(&backlog) == [[20, 0], [20, 1]])
    }
}
