// The part of the `Disk` protocol in which the real engines do not differ: every call that may
// block goes to the engine's threads.

import Synchronization

/// A disk of real files.
protocol PosixDisk: Disk {
    var files: PosixFiles { get }
    var threads: WorkThreads { get }
    /// Lets the engine take a file into its own tables, before the first request on it.
    func take(_ file: OpenFile) async
    /// Lets the engine forget a file that has no requests any more.
    func forget(_ file: OpenFile) async
    /// Ends what the engine itself runs, after the last file was closed.
    func stop() async
}

extension PosixDisk {
    var counters: DiskCounters { files.counters.withLock { $0 } }

    /// Runs `work` on one of the engine's threads.
    private func blocking<Value: Sendable>(
        _ work: @escaping @Sendable () throws(DiskError) -> Value
    ) async throws(DiskError) -> Value {
        let result: Result<Value, DiskError> = await withCheckedContinuation { continuation in
            threads.run {
                do throws(DiskError) {
                    continuation.resume(returning: .success(try work()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    private func blocking<Value: Sendable>(
        on file: FileID, _ work: @escaping @Sendable (OpenFile) throws(DiskError) -> Value
    ) async throws(DiskError) -> Value {
        let open = files.table.beginUse(file)
        defer { files.table.endUse(open) }
        return try await blocking { () throws(DiskError) in try work(open) }
    }

    func open(_ name: String, _ mode: OpenMode) async throws(DiskError) -> FileID {
        let file = try await blocking { [files] () throws(DiskError) in
            try files.open(name, mode)
        }
        await take(file)
        return file.id
    }

    func close(_ file: FileID) async {
        guard let open = await files.table.drain(file) else { return }
        await forget(open)
        files.table.remove(open)
    }

    func byteCount(of file: FileID) async throws(DiskError) -> UInt64 {
        try await blocking(on: file) { [files] file throws(DiskError) in
            try files.facts(file).byteCount
        }
    }

    func allocatedByteCount(of file: FileID) async throws(DiskError) -> UInt64 {
        try await blocking(on: file) { [files] file throws(DiskError) in
            try files.facts(file).allocated
        }
    }

    func allocate(_ file: FileID, byteCount: UInt64) async throws(DiskError) {
        try await blocking(on: file) { [files] file throws(DiskError) in
            try files.allocate(file, byteCount: byteCount)
        }
    }

    func truncate(_ file: FileID, byteCount: UInt64) async throws(DiskError) {
        try await blocking(on: file) { [files] file throws(DiskError) in
            try files.truncate(file, byteCount: byteCount)
        }
    }

    func setLifetime(_ file: FileID, _ lifetime: WriteLifetime) async -> Bool {
        let isTaken = try? await blocking(on: file) { [files] file throws(DiskError) in
            files.setLifetime(file, lifetime)
        }
        return isTaken ?? false
    }

    func withDescriptor<Value>(of file: FileID, _ body: (Int32) -> Value) -> Value? {
        let open = files.table.beginUse(file)
        defer { files.table.endUse(open) }
        return body(open.descriptor)
    }

    func lock(_ file: FileID) async throws(DiskError) {
        try await blocking(on: file) { [files] file throws(DiskError) in try files.lock(file) }
    }

    func makeDirectory(_ name: String) async throws(DiskError) {
        try await blocking { [files] () throws(DiskError) in
            try files.directory.makeDirectory(name)
        }
    }

    func list(_ directory: String) async throws(DiskError) -> [String] {
        try await blocking { [files] () throws(DiskError) in
            try files.directory.list(directory)
        }
    }

    func rename(_ source: String, to target: String) async throws(DiskError) {
        try await blocking { [files] () throws(DiskError) in
            try files.directory.rename(source, to: target)
        }
    }

    func unlink(_ name: String) async throws(DiskError) {
        try await blocking { [files] () throws(DiskError) in try files.directory.unlink(name) }
    }

    func flushDirectory(_ name: String) async throws(DiskError) {
        try await blocking { [files] () throws(DiskError) in try files.directory.flush(name) }
    }

    func freeByteCount() async throws(DiskError) -> UInt64 {
        try await blocking { [files] () throws(DiskError) in try files.directory.freeByteCount() }
    }

    func shutdown() async {
        for file in files.table.openIDs { await close(file) }
        await stop()
        threads.finish()
    }
}
