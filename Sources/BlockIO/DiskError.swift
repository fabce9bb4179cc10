import Glibc

/// The world's trouble at the disk: what was tried, on which file, where, and the kernel's word.
public struct DiskError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What a caller can act on.
    public enum Code: Hashable, Sendable {
        case notFound
        case alreadyExists
        /// Another opener holds the store.
        case locked
        case permissionDenied
        /// No space, or over a disk quota.
        case noSpace
        /// The file system refuses O_DIRECT; only a caller who asks for buffered I/O by name gets
        /// it.
        case directIORefused
        /// A network file system, whose flushes and locks cannot be relied on; it can be read.
        case unsupportedFileSystem
        /// A link, a directory or a device stands where a file of the store should be.
        case notARegularFile
        /// The waiting task was cancelled; the request goes on, and keeps its memory.
        case cancelled
        /// EIO and everything else.
        case failed
    }

    public let code: Code
    /// `open`, `read`, `write`, `flush`, …
    public let operation: String
    public let file: String
    public let offset: UInt64?
    /// The kernel's error number; 0 when the engine itself refused.
    public let errorNumber: Int32

    public init(
        code: Code? = nil, operation: String, file: String, offset: UInt64? = nil,
        errorNumber: Int32 = 0
    ) {
        self.code = code ?? Self.code(of: errorNumber)
        self.operation = operation
        self.file = file
        self.offset = offset
        self.errorNumber = errorNumber
    }

    private static func code(of errorNumber: Int32) -> Code {
        switch errorNumber {
        case ENOENT, ENOTDIR: .notFound
        case EEXIST: .alreadyExists
        case EACCES, EPERM, EROFS: .permissionDenied
        case ENOSPC, EDQUOT, EFBIG: .noSpace
        case ELOOP, EISDIR, ENXIO: .notARegularFile
        default: .failed
        }
    }

    public var description: String {
        let place = offset.map { " at byte \($0)" } ?? ""
        return "\(operation) of \(file)\(place): \(reason)"
    }

    private var reason: String {
        switch code {
        case .locked: "another process or handle has this store open"
        case .directIORefused: "the file system refuses direct I/O; ask for `buffered` to allow it"
        case .unsupportedFileSystem: "a network file system can be read, but not written"
        case .notARegularFile: "not a regular file of this user alone"
        default:
            // SAFETY: strerror returns a C string that is copied at once.
            errorNumber == 0 ? "\(code)" : unsafe String(cString: strerror(errorNumber))
        }
    }
}
