// Files and names of a simulated disk. Each call takes a drawn time and acts when it ends.

import BlockIO
import Glibc
import Primitives
import Synchronization

extension SimulatedDisk {
    public func open(_ name: String, _ mode: OpenMode) async throws(DiskError) -> FileID {
        try await control(.open, name) { [self] state throws(Refusal) in
            if isReadOnly && mode != .read { throw Refusal(EROFS) }
            let file = try fileToOpen(name, mode, &state)
            let id = FileID(UInt32(state.number()))
            state.handles[id] = SimulatedMedium.Handle(
                opener: opener, name: name, file: file, isWritable: mode != .read)
            return id
        }
    }

    private func fileToOpen(
        _ name: String, _ mode: OpenMode, _ state: inout SimulatedMedium
    ) throws(Refusal) -> Int {
        switch (state.names[name], mode) {
        case (.some, .createNew): throw Refusal(EEXIST)
        case (.directory, _): throw Refusal(EISDIR)
        case (.file(let file), _): return file
        case (nil, .createNew):
            guard state.names.hasDirectory(SimulatedNames.parent(name)) else {
                throw Refusal(ENOENT)
            }
            // A creation is an effect beside being an opening.
            guard state.enter(controlEffect(.open, name)) else { throw Refusal(EIO) }
            let file = Int(state.number())
            state.files[file] = SimulatedFile()
            state.names.add(name, .file(file))
            return file
        case (nil, _): throw Refusal(ENOENT)
        }
    }

    public func close(_ file: FileID) async {
        _ = try? await control(.close, "\(file.raw)") { _ throws(Refusal) in }
        await withCheckedContinuation { continuation in
            let isIdle = medium.state.withLock { state in
                guard let handle = state.handles[file], handle.whenIdle == nil else {
                    return true
                }
                state.handles[file]!.whenIdle = { continuation.resume() }
                return handle.useCount == 0
            }
            if isIdle { continuation.resume() }
        }
        medium.state.withLock { state in
            state.handles[file] = nil
            for (locked, owner) in state.lockOwners where owner == file {
                state.lockOwners[locked] = nil
            }
            if state.stopped == nil { state.forgetUnreachable() }
        }
    }

    public func byteCount(of file: FileID) async throws(DiskError) -> UInt64 {
        try await control(.length, on: file) { state, handle throws(Refusal) in
            UInt64(state.files[handle.file]!.byteCount)
        }
    }

    public func allocatedByteCount(of file: FileID) async throws(DiskError) -> UInt64 {
        try await control(.length, on: file) { state, handle throws(Refusal) in
            UInt64(state.files[handle.file]!.allocatedByteCount)
        }
    }

    public func allocate(_ file: FileID, byteCount: UInt64) async throws(DiskError) {
        try await control(.allocate, on: file) { state, handle throws(Refusal) in
            guard state.hasSpace(handle.file, for: byteCount) else { throw Refusal(ENOSPC) }
            state.files[handle.file]!.allocate(Int(byteCount))
        }
    }

    /// There is no drive to tell.
    public func setLifetime(_ file: FileID, _ lifetime: WriteLifetime) async -> Bool { false }
    public func truncate(_ file: FileID, byteCount: UInt64) async throws(DiskError) {
        try await control(.truncate, on: file) { state, handle throws(Refusal) in
            state.files[handle.file]!.truncate(Int(byteCount))
        }
    }

    public func lock(_ file: FileID) async throws(DiskError) {
        try await control(.lock, on: file) { state, handle throws(Refusal) in
            let owner = state.lockOwners[handle.file]
            guard owner == nil || owner == file else {
                throw Refusal(EWOULDBLOCK, code: .locked)
            }
            state.lockOwners[handle.file] = file
        }
    }

    public func makeDirectory(_ name: String) async throws(DiskError) {
        try await control(.makeDirectory, name) { state throws(Refusal) in
            guard state.names[name] == nil else { throw Refusal(EEXIST) }
            guard state.names.hasDirectory(SimulatedNames.parent(name)) else {
                throw Refusal(ENOENT)
            }
            state.names.add(name, .directory)
        }
    }

    public func list(_ directory: String) async throws(DiskError) -> [String] {
        try await control(.list, directory) { state throws(Refusal) in
            guard state.names.hasDirectory(directory) else { throw Refusal(ENOENT) }
            return state.names.list(directory)
        }
    }

    public func rename(_ source: String, to target: String) async throws(DiskError) {
        try await control(.rename, source) { state throws(Refusal) in
            guard state.names[source] != nil,
                state.names.hasDirectory(SimulatedNames.parent(target))
            else { throw Refusal(ENOENT) }
            if state.names[target] == .directory { throw Refusal(EISDIR) }
            state.names.rename(source, to: target)
            state.forgetUnreachable()
        }
    }

    public func unlink(_ name: String) async throws(DiskError) {
        try await control(.unlink, name) { state throws(Refusal) in
            guard let target = state.names[name] else { throw Refusal(ENOENT) }
            if target == .directory { throw Refusal(EISDIR) }
            state.names.remove(name)
            state.forgetUnreachable()
        }
    }

    public func flushDirectory(_ name: String) async throws(DiskError) {
        let scope = medium.state.withLock { state in
            _ = state.enter(controlEffect(.flushDirectory, name, .begins))
            return state.names.flushScope
        }
        try await control(.flushDirectory, name) { state throws(Refusal) in
            guard state.names.hasDirectory(name) else { throw Refusal(ENOENT) }
            state.names.completeFlush(of: name, scope)
            state.forgetUnreachable()
        }
    }

    public func freeByteCount() async throws(DiskError) -> UInt64 {
        try await control(.freeSpace, "") { state throws(Refusal) in state.freeByteCount }
    }

    public func shutdown() async {
        let open = medium.state.withLock { state in
            state.handles.filter { $0.value.opener == opener }.keys.sorted { $0.raw < $1.raw }
        }
        for file in open { await close(file) }
    }

    // MARK: How a call runs

    private struct Refusal: Error {
        let errorNumber: Int32
        let code: DiskError.Code?
        init(_ errorNumber: Int32, code: DiskError.Code? = nil) {
            (self.errorNumber, self.code) = (errorNumber, code)
        }
    }

    private typealias Action<Value> =
        @Sendable (inout SimulatedMedium) throws(Refusal) -> Value

    private func control<Value: Sendable>(
        _ operation: DiskOperation, on file: FileID,
        _ action: @escaping @Sendable (inout SimulatedMedium, SimulatedMedium.Handle)
            throws(Refusal) -> Value
    ) async throws(DiskError) -> Value {
        let handle = medium.state.withLock { state in
            guard let handle = state.handles[file], handle.whenIdle == nil else {
                preconditionFailure("file \(file.raw) is not open in this disk")
            }
            return handle
        }
        return try await control(operation, handle.name) { state throws(Refusal) in
            try action(&state, handle)
        }
    }

    private func control<Value: Sendable>(
        _ operation: DiskOperation, _ name: String, _ action: @escaping Action<Value>
    ) async throws(DiskError) -> Value {
        let result: Result<Value, DiskError> = await withCheckedContinuation { continuation in
            let (time, errorNumber) = medium.state.withLock { state in
                let time = UInt64.random(
                    in: state.options.controlTime, using: &state.generator)
                return (time, state.fault(operation)?.errorNumber)
            }
            scheduler.clock.schedule(afterNanoseconds: time) { [self] in
                let result = medium.state.withLock { state in
                    act(operation, name, errorNumber, action, &state)
                }
                if let result {
                    continuation.resume(returning: result)
                } else {
                    let error = DiskError(
                        operation: operation.rawValue, file: name, errorNumber: EIO)
                    medium.neverReturning.withLock {
                        $0.append { continuation.resume(returning: .failure(error)) }
                    }
                }
            }
        }
        return try result.get()
    }

    /// *Returns:* `nil` for a call that never returns.
    private func act<Value>(
        _ operation: DiskOperation, _ name: String, _ fault: Int32?, _ action: Action<Value>,
        _ state: inout SimulatedMedium
    ) -> Result<Value, DiskError>? {
        do throws(Refusal) {
            if operation.changesMedium {
                let phase: Effect.Phase = fault == nil ? .ends : .fails
                if !state.enter(controlEffect(operation, name, phase)) { throw Refusal(EIO) }
            } else if state.stopped != nil {
                throw Refusal(EIO)
            }
            if let fault { throw Refusal(fault) }
            return .success(try action(&state))
        } catch {
            if state.stopped == .hang { return nil }
            return .failure(
                DiskError(
                    code: error.code, operation: operation.rawValue, file: name,
                    errorNumber: error.errorNumber))
        }
    }

    private func controlEffect(
        _ operation: DiskOperation, _ name: String, _ phase: Effect.Phase = .ends
    ) -> Effect {
        Effect(
            operation: operation, phase: phase, file: name, offset: 0, byteCount: 0,
            time: scheduler.clock.monotonicNanoseconds)
    }
}
