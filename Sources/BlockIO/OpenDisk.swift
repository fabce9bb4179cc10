// The way in: a directory becomes a disk.

import Glibc
import Primitives

/// Opens the directory of a store.
///
/// Creating makes the directory (0700) if it is missing, and nothing in it. Reading only takes no
/// lock and changes no byte.
///
/// - Parameter core: whose steps wait for transfers; the ring's thread runs some of them when it
///   has nothing else to do (`CoreThread.help`).
/// *Throws:* `.directIORefused` where the file system has no direct I/O and `options.buffered` is
/// not set; `.unsupportedFileSystem` for writing over a network.
public func openDisk(
    directory path: String, create: Bool, readOnly: Bool, options: DiskOptions = DiskOptions(),
    helping core: CoreThread? = nil
) throws(DiskError) -> any Disk {
    let directory = try StoreDirectory(path: path, create: create, readOnly: readOnly)
    var place = try PlaceFacts(directory)
    if options.simulated.directOpen != 0 { place.acceptsDirect = false }
    if place.isRemote && !readOnly {
        throw DiskError(code: .unsupportedFileSystem, operation: "open", file: path)
    }
    if options.buffered {
        place.isDirect = false
        place.notes.append("buffered I/O was asked for")
    } else if !place.acceptsDirect {
        throw DiskError(
            code: .directIORefused, operation: "open", file: path, errorNumber: EINVAL)
    }
    let files = PosixFiles(directory: directory, place: place, options: options)
    switch options.engine {
    case .threads: return ThreadDisk(files)
    case .ring: return try openRing(files, path, core)
    case .automatic:
        do throws(DiskError) {
            return try openRing(files, path, core)
        } catch {
            files.note("io_uring is not available (\(error)); threads instead")
            return ThreadDisk(files)
        }
    }
}

private func openRing(
    _ files: PosixFiles, _ path: String, _ core: CoreThread?
) throws(DiskError) -> any Disk {
    do throws(SystemError) {
        return try RingDisk(files, helping: core)
    } catch {
        throw DiskError(operation: "io_uring setup", file: path, errorNumber: error.number)
    }
}
