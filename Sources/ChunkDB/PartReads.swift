// Reads of many parts of extents into one buffer: merged, all on their way at once, and each
// verified as it comes in.

import BlockIO
import ChunkFormat
import Primitives
import SegmentLog

/// A part of the rows of one extent, aimed at a buffer. Of a raw extent it is read, on the digest
/// grid if it is verified; of a coded one it is decoded, and is on the grid of the codec's blocks.
struct PartRead {
    let extent: LocatedExtent
    /// Of the extent's rows.
    let blockOffset: Int
    let byteCount: Int
    let bufferOffset: Int

    /// From the segment's first byte. *Precondition:* a raw extent.
    var fileOffset: UInt64 { extent.fileOffset + UInt64(blockOffset) }
    var rows: Range<Int> { blockOffset..<blockOffset + byteCount }
}

/// What reading parts took.
struct ReadCost {
    var requestCount: Int
    var byteCount: Int
}

extension Namespace {
    /// Starts all reads, adjacent ones merged, verifies each as it comes in, and decodes what is
    /// coded: such an extent is read whole, once for all of its parts, into a slab.
    /// - Parameter parts: laid out in the buffer one behind the other; those of a coded extent are
    ///   neighbours.
    @discardableResult
    func read(
        _ parts: [PartRead], into buffer: inout AlignedBuffer, _ verification: Verification
    ) async throws(StoreError) -> ReadCost {
        let direct = parts.filter { !$0.extent.isCoded }
        let landing = Landing(parts.filter(\.extent.isCoded))
        let slab = landing.byteCount > 0 ? core.slabs.take(byteCount: landing.byteCount) : nil
        let runs = mergeAdjacent(direct).map { direct[$0] }
        let landingRuns = mergeAdjacent(landing.parts)
        var requests = runs.map { request($0, buffer.slice) }
        if let slab {
            for run in landingRuns {
                requests.append(request(landing.parts[run], slab.slice.holding(slab)))
            }
        }
        let pending = core.disk.startReads(requests)
        // Every read is awaited, also after an error: the buffer belongs to them until then. Who is
        // cancelled has to let go of the buffer instead.
        var failure: StoreError?
        for (index, read) in pending.enumerated() {
            let result = await read.value()
            if case .failure(let error) = result, error.code == .cancelled { throw .cancelled }
            if failure != nil { continue }
            guard index >= runs.count, let slab else {
                failure = unsafe buffer.withBytes {
                    unsafe check(runs[index], result, $0, verification)
                }
                continue
            }
            let run = landingRuns[index - runs.count]
            failure = unsafe slab.withBytes { bytes in
                unsafe check(landing.parts[run], result, bytes, verification)
                    ?? decode(landing, run, bytes, into: &buffer)
            }
        }
        if let failure { throw failure }
        return ReadCost(
            requestCount: pending.count,
            byteCount: landing.byteCount + direct.reduce(0) { $0 + $1.byteCount })
    }

    private func request(_ run: ArraySlice<PartRead>, _ memory: IOSlice)
        -> (FileID, UInt64, IOSlice)
    {
        let (first, last) = (run.first!, run.last!)
        let byteCount = last.bufferOffset + last.byteCount - first.bufferOffset
        return (
            first.extent.file, first.fileOffset,
            first.extent.keeping(memory.slice(offset: first.bufferOffset, byteCount: byteCount))
        )
    }

    /// Decodes the parts of some extents that were read and verified.
    private func decode(
        _ landing: Landing, _ run: Range<Int>, _ bytes: UnsafeRawBufferPointer,
        into buffer: inout AlignedBuffer
    ) -> StoreError? {
        for index in run {
            let place = landing.parts[index]
            for part in landing.targets[index] {
                let damage = unsafe buffer.withMutableBytes { target in
                    // SAFETY: laid out inside the slab and the buffer.
                    unsafe part.extent.decode(
                        UnsafeRawBufferPointer(
                            rebasing: bytes[
                                place.bufferOffset..<place.bufferOffset + place.byteCount]),
                        part.rows,
                        into: UnsafeMutableRawBufferPointer(
                            rebasing: target[
                                part.bufferOffset..<part.bufferOffset + part.byteCount]))
                }
                if let damage {
                    core.count { $0.damageCount += 1 }
                    return .damaged(damage)
                }
            }
        }
        return nil
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
                    previous.fileOffset + UInt64(previous.byteCount) == part.fileOffset,
                    previous.bufferOffset + previous.byteCount == part.bufferOffset
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
        _ bytes: UnsafeRawBufferPointer, _ verification: Verification
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
            // SAFETY: parts were laid out inside the bytes.
            let damage = unsafe part.extent.verify(
                UnsafeRawBufferPointer(
                    rebasing: bytes[part.bufferOffset..<part.bufferOffset + part.byteCount]),
                blockOffset: part.blockOffset)
            if let damage {
                core.count { $0.damageCount += 1 }
                return .damaged(damage)
            }
        }
        return nil
    }
}

/// Coded extents on their way to a slab, each whole.
private struct Landing {
    var parts: [PartRead] = []
    /// What is to be decoded of each.
    var targets: [[PartRead]] = []
    var byteCount = 0

    init(_ wanted: [PartRead]) {
        for part in wanted {
            let extent = part.extent
            if let last = parts.last?.extent, last.file == extent.file,
                last.fileOffset == extent.fileOffset
            {
                targets[targets.count - 1].append(part)
                continue
            }
            parts.append(
                PartRead(
                    extent: extent, blockOffset: 0, byteCount: extent.paddedBytes,
                    bufferOffset: byteCount))
            targets.append([part])
            byteCount += extent.paddedBytes
        }
    }
}
