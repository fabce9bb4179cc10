// What a count from the kernel means for a transfer, decided in one place for both engines.
//
// A direct transfer can only start at a multiple of U, so a short one is continued from the last
// multiple that was reached, and the bytes between are moved twice (RocksDB and others fell here).

import Glibc

/// A part of a request on its way: `done` of `byteCount` bytes, from `offset` of the file.
struct TransferProgress {
    enum Step: Equatable {
        /// All bytes moved.
        case complete
        /// The file ends after `done` bytes.
        case endOfFile
        /// Ask the kernel for the bytes from `done` on.
        case resume
        case failed(Int32)
    }

    /// Tries without progress before trouble that should pass is called an error.
    static let patience = 100

    let isRead: Bool
    let byteCount: Int
    let alignment: Int
    private(set) var done = 0
    private(set) var fruitlessCount = 0

    init(isRead: Bool, byteCount: Int, alignment: Int) {
        self.isRead = isRead
        self.byteCount = byteCount
        self.alignment = alignment
    }

    /// Takes the kernel's answer for the bytes from `done` on: a count, or a negated error number.
    /// `fileEnd` gives the file's length counted from the transfer's first byte.
    mutating func advance(by result: Int, fileEnd: () -> Int?) -> Step {
        if result < 0 { return retry(after: Int32(-result)) }
        if done + result >= byteCount {
            done = byteCount
            return .complete
        }
        if result == 0 { return isRead ? .endOfFile : .failed(EIO) }
        if isRead, let end = fileEnd(), done + result >= end {
            done += result
            return .endOfFile
        }
        let aligned = (done + result) / alignment * alignment
        if aligned == done { return retry(after: EAGAIN) }
        done = aligned
        fruitlessCount = 0
        return .resume
    }

    private mutating func retry(after number: Int32) -> Step {
        fruitlessCount += 1
        let passes = [EINTR, EAGAIN, ECANCELED].contains(number)
        return passes && fruitlessCount < Self.patience ? .resume : .failed(number)
    }
}
