// A store as the shell sees it: what `SegmentLog.inspect` found, and blocking ways to read more.

import BlockIO
import ChunkFormat
import Primitives
import SegmentLog

/// Runs async work to its end on the calling thread.
func wait<Success: Sendable, Failure: Error>(
    _ body: @escaping @Sendable () async throws(Failure) -> Success
) throws(Failure) -> Success {
    try CallerThread.wait { () async -> Result<Success, Failure> in
        do throws(Failure) {
            return .success(try await body())
        } catch {
            return .failure(error)
        }
    }.get()
}

final class StoreView: Sendable {
    let path: String
    let disk: any Disk
    let inspection: Inspection
    let listing: Listing
    /// Whether some process holds the store's lock: then the picture may be inconsistent, and
    /// damage may be a race. `false` also where this cannot be seen.
    let isOpenElsewhere: Bool

    init(path: String, options: DiskOptions) throws(ShellError) {
        self.path = path
        isOpenElsewhere = StoreLock.isHeld(directory: path)
        var look = try Look(path: path, options: options)
        // Beside a writer the picture may be torn (CONTRACT O-2), for example a checkpoint that is
        // newer than the list of segments: what a later look does not see was never damage.
        var looksLeft = isOpenElsewhere ? 3 : 0
        while looksLeft > 0, !look.isConsistent {
            look.close()
            look = try Look(path: path, options: options)
            looksLeft -= 1
        }
        disk = look.disk
        inspection = look.inspection
        listing = look.listing
    }

    deinit {
        let disk = disk
        CallerThread.wait { await disk.shutdown() }
    }

    var superblock: Superblock { inspection.superblock }
    var reader: RecordReader { inspection.reader }
    var damages: [RecoveryReport.Damage] { inspection.contents.report.damages }

    /// Tells the user of damage that a verb did not look for.
    func warnOfDamage(on console: Console) {
        if damages.isEmpty { return }
        let live = isOpenElsewhere ? "; it is open elsewhere, so this may be a race" : ""
        console.warn(
            "\(counted(damages.count, "place")) of this store \(damages.count == 1 ? "is" : "are") "
                + "damaged\(live); see `chunkdb \(path) verify`")
    }

    /// Bytes that each file of the store occupies on the medium, by name.
    func allocatedBytes() -> [(file: String, bytes: UInt64)] {
        let disk = disk
        return CallerThread.wait {
            var names = [
                StoreFiles.superblock, StoreFiles.checkpoint, StoreFiles.checkpointDraft,
                StoreFiles.heat, StoreFiles.heatDraft,
            ] + StoreFiles.journals
            let segments = (try? await disk.list(StoreFiles.segments)) ?? []
            names += segments.filter { StoreFiles.segmentID(fileName: $0) != nil }
                .map { "\(StoreFiles.segments)/\($0)" }
            var result: [(file: String, bytes: UInt64)] = []
            for name in names {
                guard let file = try? await disk.open(name, .read) else { continue }
                if let bytes = try? await disk.allocatedByteCount(of: file) {
                    result.append((name, bytes))
                }
                await disk.close(file)
            }
            return result
        }
    }
}

/// One reading of a whole store's structures.
private struct Look {
    let disk: any Disk
    let inspection: Inspection
    let listing: Listing

    init(path: String, options: DiskOptions) throws(ShellError) {
        let disk: any Disk
        do throws(DiskError) {
            disk = try openDisk(directory: path, create: false, readOnly: true, options: options)
        } catch {
            throw ShellError(opening: path, error)
        }
        self.disk = disk
        do throws(LogError) {
            inspection = try wait { () async throws(LogError) in
                try await SegmentLog.inspect(disk)
            }
        } catch {
            CallerThread.wait { await disk.shutdown() }
            throw ShellError(opening: path, error)
        }
        listing = Listing(inspection.contents)
    }

    /// Whether nothing is reported damaged, and every entry is in a segment that was found.
    var isConsistent: Bool {
        let found = Set(inspection.segments.map(\.handle.id))
        return inspection.contents.report.damages.isEmpty
            && listing.entries.allSatisfy { found.contains($0.location.segment) }
    }

    func close() {
        let disk = disk
        CallerThread.wait { await disk.shutdown() }
    }
}
