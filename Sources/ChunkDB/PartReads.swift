// Reads of many parts of extents into one buffer: merged, all on their way at once, and each
// verified as it comes in.

import BlockIO
import ChunkFormat
import Primitives
import SegmentLog

/// One read of a part of one extent: aimed at a buffer, and on the digest grid if it is verified.
struct PartRead {
    let extent: LocatedExtent
    /// Of the extent.
    let blockOffset: Int
    let byteCount: Int
    let bufferOffset: Int

    /// From the segment's first byte.
    var fileOffset: UInt64 { extent.fileOffset + UInt64(blockOffset) }
}

extension Namespace {
    /// Starts all reads, adjacent ones merged, and verifies each as it comes in.
    /// - Parameter parts: laid out in the buffer one behind the other.
    /// *Returns:* the number of requests.
    @discardableResult
    func read(
        _ parts: [PartRead], into buffer: borrowing AlignedBuffer, _ verification: Verification
    ) async throws(StoreError) -> Int {
        let runs = mergeAdjacent(parts)
        let pending = core.disk.startReads(
            runs.map { run in
                let first = parts[run.lowerBound]
                let last = parts[run.upperBound - 1]
                return (
                    first.extent.file, first.fileOffset,
                    first.extent.keeping(
                        buffer.slice.slice(
                            offset: first.bufferOffset,
                            byteCount: last.bufferOffset + last.byteCount - first.bufferOffset))
                )
            })
        // Every read is awaited, also after an error: the buffer belongs to them until then. Who is
        // cancelled has to let go of the buffer instead.
        var failure: StoreError?
        for (run, read) in zip(runs, pending) {
            let result = await read.value()
            if case .failure(let error) = result, error.code == .cancelled { throw .cancelled }
            if failure != nil { continue }
            failure = check(parts[run], result, buffer, verification)
        }
        if let failure { throw failure }
        return runs.count
    }

    /// Ranges of parts that are neighbours both on disk and in the buffer, up to 4 MiB each.
    private func mergeAdjacent(_ parts: [PartRead]) -> [Range<Int>] {
        let runBytesMax = 4 << 20
        var runs: [Range<Int>] = []
        var runBytes = 0
        for (index, part) in parts.enumerated() {
            if index > 0, let run = runs.last, runBytes + part.byteCount <= runBytesMax {
                let previous = parts[index - 1]
                if previous.extent.file == part.extent.file,
                    previous.fileOffset + UInt64(previous.byteCount) == part.fileOffset
                {
                    runs[runs.count - 1] = run.lowerBound..<index + 1
                    runBytes += part.byteCount
                    continue
                }
            }
            runs.append(index..<index + 1)
            runBytes = part.byteCount
        }
        return runs
    }

    private func check(
        _ parts: ArraySlice<PartRead>, _ result: Result<Int, DiskError>,
        _ buffer: borrowing AlignedBuffer, _ verification: Verification
    ) -> StoreError? {
        let expected = parts.reduce(0) { $0 + $1.byteCount }
        switch result {
        case .failure(let error): return .log(.disk(error))
        case .success(let count) where count < expected:
            core.count { $0.damageCount += 1 }
            let extent = parts.first!.extent
            return .damaged(
                extent.facts(
                    ExtentDigests.truncated(extent.row, expected: expected, found: count)))
        case .success: break
        }
        if verification == .unverified {
            core.count { $0.unverifiedBytes += UInt64(expected) }
            return nil
        }
        core.count { $0.verifiedBytes += UInt64(expected) }
        for part in parts {
            let damage = unsafe buffer.withBytes { bytes in
                // SAFETY: parts were laid out inside the buffer.
                unsafe part.extent.verify(
                    UnsafeRawBufferPointer(
                        rebasing: bytes[
                            part.bufferOffset..<part.bufferOffset + part.byteCount]),
                    blockOffset: part.blockOffset)
            }
            if let damage {
                core.count { $0.damageCount += 1 }
                return .damaged(damage)
            }
        }
        return nil
    }
}
