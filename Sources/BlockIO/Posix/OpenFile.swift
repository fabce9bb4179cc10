// A file as an engine holds it, and the table of them.
//
// The table counts the work in progress on each file, so that closing can wait for the last of it
// and no system call ever meets a descriptor number that was given to somebody else.

import Glibc
import Synchronization

/// An open regular file of the store.
final class OpenFile: Sendable {
    let id: FileID
    let name: String
    let descriptor: Int32
    /// Where the ring has registered it; -1 for nowhere. The ring's own thread writes and reads it.
    let registeredSlot = Atomic<Int>(-1)

    init(id: FileID, name: String, descriptor: Int32) {
        self.id = id
        self.name = name
        self.descriptor = descriptor
    }

    func failure(_ operation: String, _ number: Int32, offset: UInt64? = nil) -> DiskError {
        DiskError(operation: operation, file: name, offset: offset, errorNumber: number)
    }
}

/// The open files of one disk.
final class FileTable: Sendable {
    private struct Entry {
        let file: OpenFile
        var useCount = 0
        var whenIdle: (@Sendable () -> Void)?
    }
    private struct State {
        var entries: [FileID: Entry] = [:]
        var nextRaw: UInt32 = 0
    }
    private let state = Mutex(State())

    /// A disk that was dropped without `shutdown` gives its descriptors back too.
    deinit {
        state.withLock { state in
            for entry in state.entries.values { SystemCalls.close(entry.file.descriptor) }
        }
    }

    func insert(name: String, descriptor: Int32) -> OpenFile {
        state.withLock { state in
            let file = OpenFile(
                id: FileID(state.nextRaw), name: name, descriptor: descriptor)
            state.nextRaw += 1
            state.entries[file.id] = Entry(file: file)
            return file
        }
    }

    /// Begins work on a file; every `beginUse` is followed by one `endUse`.
    func beginUse(_ id: FileID) -> OpenFile {
        state.withLock { state in
            guard let entry = state.entries[id], entry.whenIdle == nil else {
                preconditionFailure("file \(id.raw) is not open in this disk")
            }
            state.entries[id]!.useCount += 1
            return entry.file
        }
    }

    func endUse(_ file: OpenFile) {
        let whenIdle = state.withLock { state -> (@Sendable () -> Void)? in
            state.entries[file.id]!.useCount -= 1
            let entry = state.entries[file.id]!
            return entry.useCount == 0 ? entry.whenIdle : nil
        }
        whenIdle?()
    }

    /// Refuses new work on the file and returns when there is none left; `nil` if it is not open.
    func drain(_ id: FileID) async -> OpenFile? {
        await withCheckedContinuation { continuation in
            let (file, isIdle) = state.withLock { state -> (OpenFile?, Bool) in
                guard let entry = state.entries[id], entry.whenIdle == nil else {
                    return (nil, true)
                }
                state.entries[id]!.whenIdle = { continuation.resume(returning: entry.file) }
                return (entry.file, entry.useCount == 0)
            }
            if isIdle { continuation.resume(returning: file) }
        }
    }

    /// After `drain`: forgets the file and closes its descriptor.
    func remove(_ file: OpenFile) {
        state.withLock { state in
            guard state.entries.removeValue(forKey: file.id) != nil else { return }
            SystemCalls.close(file.descriptor)
        }
    }

    var openIDs: [FileID] {
        state.withLock { $0.entries.keys.sorted { $0.raw < $1.raw } }
    }
}
