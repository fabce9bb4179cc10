// What the two real engines share: files, names, counts, and threads for the calls that block.

import CSystemCalls
import Glibc
import Synchronization

/// The files of one disk and everything about them but the transfers.
final class PosixFiles: Sendable {
    let directory: StoreDirectory
    let options: DiskOptions
    let alignment: Int
    /// `DiskOptions.pieceBytes` in whole units.
    let pieceBytes: Int
    /// Whether files are opened with O_DIRECT; `isDirect` says whether that has its effect.
    let opensDirect: Bool
    let isDirect: Bool
    let table = FileTable()
    let counters = Mutex(DiskCounters())
    private let notes: Mutex<[String]>

    init(directory: StoreDirectory, place: PlaceFacts, options: DiskOptions) {
        self.directory = directory
        self.options = options
        alignment = place.alignment
        pieceBytes = max(min(options.pieceBytes, 1 << 30) / alignment, 1) * alignment
        opensDirect = !options.buffered
        isDirect = place.isDirect
        notes = Mutex(place.notes)
    }

    /// Adds a fact for people, once.
    func note(_ text: String) {
        notes.withLock { if !$0.contains(text) { $0.append(text) } }
    }

    /// Called by each thread that moves bytes, before anything else.
    func pinThread() {
        if options.processors.isEmpty { return }
        do throws(SystemError) {
            try SystemCalls.pinThread(to: options.processors)
        } catch {
            note("threads run on any processor: error \(error.number)")
        }
    }

    func traits(engine: String, hasRegisteredBuffers: Bool) -> DiskTraits {
        DiskTraits(
            engine: engine, isDirect: isDirect, alignment: alignment,
            hasRegisteredBuffers: hasRegisteredBuffers, notes: notes.withLock { $0 },
            pieceBytes: pieceBytes)
    }

    /// Counts a request and finds its file. Traps on what only our own mistake can bring.
    func begin(_ request: IORequest) -> OpenFile {
        if request.operation != .flush {
            let unit = UInt64(alignment)
            precondition(
                request.offset % unit == 0
                    && request.slice.isAligned(to: alignment)
                    && request.furtherSlices.allSatisfy { $0.isAligned(to: alignment) },
                "a transfer must be aligned to \(alignment)")
        }
        counters.withLock { counters in
            switch request.operation {
            case .read:
                counters.readCount += 1
                counters.readBytes += UInt64(request.byteCount)
            case .write:
                counters.writeCount += 1
                counters.writtenBytes += UInt64(request.byteCount)
            case .flush: counters.flushCount += 1
            }
        }
        return table.beginUse(request.file)
    }

    /// Hands a request's end to its owner, after the file is free of it.
    func end(_ request: IORequest, _ file: OpenFile, _ result: Result<Int, DiskError>) {
        table.endUse(file)
        request.completion(result)
    }

    // MARK: Calls that block

    func open(_ name: String, _ mode: OpenMode) throws(DiskError) -> OpenFile {
        do throws(DiskError) {
            let descriptor = try directory.open(name, mode, isDirect: opensDirect)
            return table.insert(name: name, descriptor: descriptor)
        } catch {
            // The kernel refuses the flag, not the name, with EINVAL.
            guard opensDirect, error.errorNumber == EINVAL else { throw error }
            // The refusal comes after the creation.
            if mode == .createNew { try? directory.unlink(name) }
            throw DiskError(
                code: .directIORefused, operation: "open", file: name, errorNumber: EINVAL)
        }
    }

    func facts(_ file: OpenFile) throws(DiskError) -> (byteCount: UInt64, allocated: UInt64) {
        do throws(SystemError) {
            let facts = try SystemCalls.facts(file.descriptor)
            return (facts.byte_count, facts.allocated_byte_count)
        } catch {
            throw file.failure("length", error.number)
        }
    }

    func allocate(_ file: OpenFile, byteCount: UInt64) throws(DiskError) {
        do throws(SystemError) {
            do throws(SystemError) {
                let trouble = options.simulated.allocation
                if trouble != 0 { throw SystemError(number: trouble) }
                try SystemCalls.allocate(file.descriptor, byteCount: byteCount)
            } catch {
                guard error.number == EOPNOTSUPP || error.number == ENOSYS else { throw error }
                note("the file system reserves no blocks; files only grow in length")
                if try SystemCalls.facts(file.descriptor).byte_count < byteCount {
                    _ = try SystemCalls.check { ftruncate(file.descriptor, off_t(byteCount)) }
                }
            }
        } catch {
            throw file.failure("allocate", error.number)
        }
    }

    func truncate(_ file: OpenFile, byteCount: UInt64) throws(DiskError) {
        do throws(SystemError) {
            _ = try SystemCalls.check { ftruncate(file.descriptor, off_t(byteCount)) }
        } catch {
            throw file.failure("truncate", error.number)
        }
    }

    func setLifetime(_ file: OpenFile, _ lifetime: WriteLifetime) -> Bool {
        let result = chunkdb_set_lifetime(file.descriptor, lifetime.rawValue)
        if result != 0 { note("the kernel takes no write lifetimes here: error \(-result)") }
        return result == 0
    }

    /// Tries for a quarter of a second, and for ten if the holder is dead: the ring of a process
    /// that was killed holds its files until its last request has ended.
    func lock(_ file: OpenFile) throws(DiskError) {
        try directory.checkWritable(file.name, "lock")
        var pauses = 0
        while true {
            do throws(SystemError) {
                _ = try SystemCalls.check { flock(file.descriptor, LOCK_EX | LOCK_NB) }
                return
            } catch {
                guard error.number == EWOULDBLOCK else {
                    throw file.failure("lock", error.number)
                }
            }
            pauses += 1
            if pauses > 2_000 || (pauses > 50 && !LockHolder.isDead(of: file.descriptor)) {
                throw DiskError(
                    code: .locked, operation: "lock", file: file.name,
                    errorNumber: EWOULDBLOCK)
            }
            usleep(5_000)
        }
    }
}
