// How a verb ends. The numbers are documented in `chunkdb --help` and never change their meaning.

import BlockIO
import Glibc
import SegmentLog

/// What the process says to its parent.
enum ShellExit: Int32 {
    case fine = 0
    /// Stored bytes are not what was stored.
    case damageFound = 1
    /// The command line cannot be understood.
    case usage = 2
    /// The store cannot be opened or read at all.
    case cannotOpen = 3
    /// The store is fine and has nothing by that name.
    case notFound = 4
    /// The file to be written could not be.
    case cannotWrite = 5
    /// Another program that was to be run is missing, or failed.
    case toolFailed = 6
    /// Ctrl-C ended a verb of a session; as shells number it.
    case interrupted = 130
}

/// Why a verb gave no answer.
struct ShellError: Error {
    let exit: ShellExit
    let message: String

    init(_ exit: ShellExit, _ message: String) {
        self.exit = exit
        self.message = message
    }

    /// A store that does not open.
    init(opening path: String, _ error: LogError) {
        switch error {
        case .notAStore: self.init(.cannotOpen, "\(path): no store here (it has no superblock)")
        case .disk(let error): self.init(opening: path, error)
        default: self.init(.cannotOpen, "\(path): \(error)")
        }
    }

    init(opening path: String, _ error: DiskError) {
        switch error.code {
        case .notFound where error.file == path:
            let reason = error.errorNumber == ENOTDIR ? "not a directory" : "no such directory"
            self.init(.cannotOpen, "\(path): \(reason)")
        case .directIORefused:
            // Never a silent fallback (PRODUCT D10): the user chooses.
            self.init(
                .cannotOpen, "\(error)\nAdd --buffered to read through the page cache instead.")
        default: self.init(.cannotOpen, error.file == path ? "\(error)" : "\(path): \(error)")
        }
    }
}
