// The store's directory: one descriptor, and names beneath it.
//
// Names are made by the engine, yet nothing here trusts them or what stands behind them: the
// kernel resolves every path beneath the descriptor and through no link, and an opened file must
// be a regular one of this user with one name (S-1, S-3). Descriptors 0, 1 and 2 are never used
// for data, because a stray print would land in it (S-18).

import CSystemCalls
import Glibc

/// A directory that holds a store.
final class StoreDirectory: Sendable {
    let path: String
    let descriptor: Int32
    let isReadOnly: Bool

    init(path: String, create: Bool, readOnly: Bool) throws(DiskError) {
        self.path = path
        isReadOnly = readOnly
        do throws(SystemError) {
            if create && !readOnly {
                do throws(SystemError) {
                    try SystemCalls.makeDirectory(path)
                } catch {
                    if error.number != EEXIST { throw error }
                }
            }
            let descriptor = try SystemCalls.open(path, flags: O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            self.descriptor = try Self.raised(descriptor)
        } catch {
            throw DiskError(operation: "open", file: path, errorNumber: error.number)
        }
    }

    deinit { SystemCalls.close(descriptor) }

    // MARK: Files

    /// Opens or creates a regular file. *Returns:* its descriptor.
    func open(_ name: String, _ mode: OpenMode, isDirect: Bool) throws(DiskError) -> Int32 {
        if mode != .read { try checkWritable(name, "open") }
        // Without O_NONBLOCK, a FIFO in the file's place would hold us until somebody opens its
        // other end.
        var flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK
        flags |= mode == .read ? O_RDONLY : O_RDWR
        if mode == .createNew { flags |= O_CREAT | O_EXCL }
        if isDirect { flags |= chunkdb_open_direct }
        try Self.check(name, "open")
        do throws(DiskError) {
            return try openVerified(name, flags, mode: mode == .createNew ? 0o600 : 0)
        } catch {
            // A FIFO or a directory refuses O_DIRECT before we could see what it is.
            guard isDirect, mode != .createNew, error.errorNumber == EINVAL else { throw error }
            SystemCalls.close(try openVerified(name, flags & ~chunkdb_open_direct, mode: 0))
            throw error
        }
    }

    private func openVerified(
        _ name: String, _ flags: Int32, mode: UInt64
    ) throws(DiskError) -> Int32 {
        let descriptor = try perform("open", name) { () throws(SystemError) in
            try Self.raised(
                try SystemCalls.openBeneath(
                    self.descriptor, name, flags: flags, mode: mode))
        }
        do throws(DiskError) {
            try verify(descriptor, name, isNew: mode != 0)
            return descriptor
        } catch {
            SystemCalls.close(descriptor)
            throw error
        }
    }

    /// A regular file, with one name, of this user and writable by no other; a reader may also read
    /// what others wrote. Who may write takes from others what a copy left them: to read it (S-4).
    private func verify(
        _ descriptor: Int32, _ name: String, isNew: Bool
    ) throws(DiskError) {
        let facts = try perform("open", name) { () throws(SystemError) in
            try SystemCalls.clearNonBlocking(descriptor)
            return try SystemCalls.facts(descriptor)
        }
        let isRegular = facts.mode & S_IFMT == S_IFREG
        let isOurs = facts.owner == geteuid() && facts.mode & 0o022 == 0 || isReadOnly
        guard isRegular, facts.link_count == 1, isOurs else {
            throw DiskError(code: .notARegularFile, operation: "open", file: name)
        }
        guard !isReadOnly, !isNew, facts.mode & 0o077 != 0 else { return }
        try perform("restrict", name) { () throws(SystemError) in
            _ = try SystemCalls.check { fchmod(descriptor, 0o600) }
        }
    }

    /// A nameless file that vanishes with its descriptor; for probing.
    func openUnnamed(isDirect: Bool) throws(SystemError) -> Int32 {
        try SystemCalls.openUnnamed(
            in: descriptor, flags: O_RDWR | O_CLOEXEC | (isDirect ? chunkdb_open_direct : 0))
    }

    private static func raised(_ descriptor: Int32) throws(SystemError) -> Int32 {
        if descriptor > 2 { return descriptor }
        defer { SystemCalls.close(descriptor) }
        return try SystemCalls.duplicateHigh(descriptor)
    }

    // MARK: Names

    func makeDirectory(_ name: String) throws(DiskError) {
        try withParent(of: name, "create directory") { parent, last throws(SystemError) in
            try SystemCalls.makeDirectory(in: parent, last)
        }
    }

    func rename(_ source: String, to target: String) throws(DiskError) {
        try withParent(of: source, "rename") { sourceParent, sourceLast throws(SystemError) in
            let (parentName, targetLast) = Self.split(target)
            let targetParent = try self.openDirectory(parentName)
            defer { SystemCalls.close(targetParent) }
            try SystemCalls.rename((sourceParent, sourceLast), (targetParent, targetLast))
        }
    }

    func unlink(_ name: String) throws(DiskError) {
        try withParent(of: name, "remove") { parent, last throws(SystemError) in
            try SystemCalls.unlink(parent, last)
        }
    }

    func list(_ name: String) throws(DiskError) -> [String] {
        try withDirectory(name, "list") { descriptor throws(SystemError) in
            try SystemCalls.names(in: descriptor)
        }
    }

    func flush(_ name: String) throws(DiskError) {
        try withDirectory(name, "flush directory") { descriptor throws(SystemError) in
            _ = try SystemCalls.check { fsync(descriptor) }
        }
    }

    func freeByteCount() throws(DiskError) -> UInt64 {
        try perform("free space", path) { () throws(SystemError) in
            try SystemCalls.freeByteCount(descriptor)
        }
    }

    // MARK: Ways

    private func withDirectory<Result>(
        _ name: String, _ operation: String,
        _ body: (Int32) throws(SystemError) -> Result
    ) throws(DiskError) -> Result {
        if !name.isEmpty { try Self.check(name, operation) }
        return try perform(operation, name.isEmpty ? path : name) { () throws(SystemError) in
            let descriptor = try self.openDirectory(name)
            defer { SystemCalls.close(descriptor) }
            return try body(descriptor)
        }
    }

    private func withParent(
        of name: String, _ operation: String,
        _ body: (Int32, String) throws(SystemError) -> Void
    ) throws(DiskError) {
        try checkWritable(name, operation)
        try Self.check(name, operation)
        try perform(operation, name) { () throws(SystemError) in
            let (parentName, last) = Self.split(name)
            let parent = try self.openDirectory(parentName)
            defer { SystemCalls.close(parent) }
            try body(parent, last)
        }
    }

    /// A disk that was opened for reading refuses everything else.
    func checkWritable(_ name: String, _ operation: String) throws(DiskError) {
        if isReadOnly { throw DiskError(operation: operation, file: name, errorNumber: EROFS) }
    }

    private func openDirectory(_ name: String) throws(SystemError) -> Int32 {
        try SystemCalls.openBeneath(
            descriptor, name.isEmpty ? "." : name, flags: O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    }

    private static func split(_ name: String) -> (parent: String, last: String) {
        guard let slash = name.lastIndex(of: "/") else { return ("", name) }
        return (String(name[..<slash]), String(name[name.index(after: slash)...]))
    }

    /// Refuses what no engine's name looks like, before the kernel sees it.
    private static func check(_ name: String, _ operation: String) throws(DiskError) {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        let isPlain = parts.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
        guard isPlain, !name.utf8.contains(0) else {
            throw DiskError(operation: operation, file: name, errorNumber: EACCES)
        }
    }

    private func perform<Result>(
        _ operation: String, _ file: String, _ body: () throws(SystemError) -> Result
    ) throws(DiskError) -> Result {
        do throws(SystemError) {
            return try body()
        } catch {
            throw DiskError(operation: operation, file: file, errorNumber: error.number)
        }
    }
}
