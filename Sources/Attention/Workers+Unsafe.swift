// Work spread over the cores, in blocks of rows. Nothing here changes a result: every row's
// arithmetic is the same whichever block and thread it falls to.

import Dispatch

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

private let coreCount = max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN)))

/// Whether a model may use more than the calling thread.
public enum Parallelism: Sendable {
    case callingThread
    case allCores
}

extension Parallelism {
    /// Multiply-adds below which waking another core costs more than it saves (tens of µs).
    private static let worthwhileOperationCount = 500_000
    /// Rows of one block at most: their activations should stay in a core's own cache.
    private static let blockRowCountMax = 64

    /// Calls `body` for blocks that cover `0..<rowCount`, multiples of four rows long.
    func forEachBlock(
        rowCount: Int, operationsPerRow: Int, _ body: (Range<Int>) -> Void
    ) {
        let isParallel =
            self == .allCores && rowCount > 4
            && rowCount * operationsPerRow > Self.worthwhileOperationCount
        let share = isParallel ? (rowCount + coreCount * 4 - 1) / (coreCount * 4) : rowCount
        let step = min(Self.blockRowCountMax, (share + 3) & ~3)
        let blockCount = (rowCount + step - 1) / step
        // SAFETY: every body writes to the rows of its own block only, and this call returns after
        // the last of them.
        nonisolated(unsafe) let body = body
        @Sendable func block(_ index: Int) -> Range<Int> {
            index * step..<min(rowCount, (index + 1) * step)
        }
        if isParallel {
            DispatchQueue.concurrentPerform(iterations: blockCount) { unsafe body(block($0)) }
        } else {
            for index in 0..<blockCount { unsafe body(block(index)) }
        }
    }
}

