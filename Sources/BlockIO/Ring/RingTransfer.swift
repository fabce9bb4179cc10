// A request on the ring: cut into pieces, so that a large one keeps the device busy from many
// places and a small one does not wait behind it.

/// Owned by the ring's thread.
final class RingTransfer {
    let request: IORequest
    let file: OpenFile
    /// Bytes handed out as pieces.
    private var issuedByteCount = 0
    private var isFlushIssued = false
    private var runningCount = 0
    /// Where the file ended, counted from the request's first byte.
    private var end: Int
    private var failure: DiskError?

    init(_ request: IORequest, _ file: OpenFile) {
        self.request = request
        self.file = file
        end = request.operation == .flush ? 0 : request.byteCount
    }

    /// Whether there is a piece to issue; none after a failure.
    var hasMore: Bool {
        failure == nil && (isFlush ? !isFlushIssued : issuedByteCount < request.byteCount)
    }

    private var isFlush: Bool { request.operation == .flush }

    /// The next piece; its length is at most `byteCount`.
    func nextPiece(byteCount: Int, alignment: Int) -> RingPiece {
        let start = issuedByteCount
        let length = isFlush ? 0 : min(byteCount, request.byteCount - start)
        issuedByteCount += length
        isFlushIssued = isFlush
        runningCount += 1
        let isRead = request.operation == .read
        return RingPiece(
            transfer: self, start: start,
            progress: TransferProgress(
                isRead: isRead, byteCount: length, alignment: alignment))
    }

    /// Takes a piece's end. *Returns:* the request's result when it was the last.
    func finish(_ piece: RingPiece, _ step: TransferProgress.Step) -> Result<Int, DiskError>? {
        runningCount -= 1
        switch step {
        case .complete, .resume: break
        case .endOfFile: end = min(end, piece.start + piece.progress.done)
        case .failed(let number): fail(number, at: piece.start + piece.progress.done)
        }
        if runningCount > 0 || hasMore { return nil }
        if let failure { return .failure(failure) }
        return .success(end)
    }

    private func fail(_ number: Int32, at start: Int) {
        let offset = request.offset + UInt64(start)
        if let failure, let earlier = failure.offset, earlier <= offset { return }
        failure = file.failure(
            "\(request.operation)", number, offset: isFlush ? nil : offset)
    }
}

struct RingPiece {
    let transfer: RingTransfer
    let start: Int
    var progress: TransferProgress
}
