// One io_uring through liburing: the only place that touches its memory. It belongs to the thread
// that made it, from the first call to the last (SINGLE_ISSUER).

import CLiburing
import Glibc

@safe struct Ring: ~Copyable {
    /// A completion, copied out of the queue.
    struct Completion {
        let userData: UInt64
        let result: Int32
        let hasMore: Bool
    }

    /// IOSQE_FIXED_FILE, a composed macro.
    private static let fixedFile: UInt32 = 1

    // SAFETY: allocated and initialized in `init`, and reached by one thread only.
    private let ring: UnsafeMutablePointer<io_uring>
    /// Completions wait inside the kernel until the thread asks for them.
    let defersTasks: Bool
    /// Of each place of the ring, where its read goes: kept until it has ended.
    private let vectors: UnsafeMutablePointer<iovec>
    /// Whether a read to several places can use the registered memory as such (6.15).
    private let hasFixedVectors: Bool
    /// IORING_OP_READV_FIXED, which older headers do not know.
    private static let readvFixed: UInt8 = 60

    /// Sets a ring up, with the newest way of running completions that the kernel knows.
    init(entryCount: UInt32, trouble: SimulatedTrouble) throws(SystemError) {
        let modern = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN
        let ways = [modern, IORING_SETUP_COOP_TASKRUN, 0]
        unsafe ring = .allocate(capacity: 1)
        var result = Int32(0)
        for way in ways {
            // SAFETY: `ring` has room for one; liburing initializes it or fails.
            unsafe ring.initialize(to: io_uring())
            result = -trouble.ringSetup
            if result == 0 && way == modern { result = -trouble.modernFlags }
            if result == 0 {
                result = unsafe io_uring_queue_init(entryCount, ring, UInt32(way))
            }
            if result == 0 {
                defersTasks = way == modern
                unsafe vectors = .allocate(capacity: Int(entryCount) * IORequest.slicesMax)
                let probe = unsafe io_uring_get_probe_ring(ring)
                hasFixedVectors =
                    unsafe probe.map {
                        unsafe io_uring_opcode_supported($0, Int32(Self.readvFixed)) != 0
                    } ?? false
                unsafe io_uring_free_probe(probe)
                return
            }
            if result != -EINVAL { break }
        }
        unsafe ring.deallocate()
        throw SystemError(number: -result)
    }

    deinit {
        // SAFETY: initialized by `init`; the kernel lets go of requests and registrations.
        unsafe io_uring_queue_exit(ring)
        unsafe ring.deallocate()
        unsafe vectors.deallocate()
    }

    // MARK: Registration

    /// Makes an empty table of files. *Returns:* its length; 0 when the kernel gives none.
    func registerFileTable(_ trouble: SimulatedTrouble) -> Int {
        if trouble.fileRegistration != 0 { return 0 }
        // Beyond RLIMIT_NOFILE the kernel refuses.
        for count in [4_096, 1_000, 250] {
            // SAFETY: the ring is initialized.
            if unsafe io_uring_register_files_sparse(ring, UInt32(count)) == 0 { return count }
        }
        return 0
    }

    /// Puts a descriptor into a slot of the file table; -1 empties it. *Returns:* success.
    func setFile(_ slot: Int, to descriptor: Int32) -> Bool {
        var descriptor = descriptor
        // SAFETY: one number for one slot; the kernel copies it.
        return unsafe io_uring_register_files_update(ring, UInt32(slot), &descriptor, 1) == 1
    }

    /// Pins one region as buffer 0. *Returns:* 0 or an error number.
    func registerBuffer(_ base: UnsafeMutableRawPointer, byteCount: Int) -> Int32 {
        var region = unsafe iovec(iov_base: base, iov_len: byteCount)
        // SAFETY: the caller keeps the region until the ring has ended.
        return unsafe -io_uring_register_buffers(ring, &region, 1)
    }

    // MARK: Submission

    /// A transfer, or a flush when `operation` says so. There must be room in the queue.
    func prepare(
        _ operation: IOOperation, descriptor: Int32, slot: Int, _ slices: [IOSlice],
        offset: UInt64, isRegistered: Bool, place: Int
    ) {
        let target = slot >= 0 ? Int32(slot) : descriptor
        let count = UInt32(slices[0].byteCount)
        // SAFETY: the caller bounds the requests by the queue's size, so there is an entry; the
        // request's slice keeps the memory alive until the completion.
        let entry = unsafe io_uring_get_sqe(ring)!
        let memory = unsafe UnsafeMutableRawPointer(bitPattern: slices[0].address)
        switch (operation, isRegistered) {
        case (.flush, _):
            unsafe io_uring_prep_fsync(entry, target, UInt32(IORING_FSYNC_DATASYNC))
        case (.read, _) where slices.count > 1:
            let places = unsafe vectors + place * IORequest.slicesMax
            for (index, slice) in slices.enumerated() {
                unsafe places[index] = unsafe iovec(
                    iov_base: UnsafeMutableRawPointer(bitPattern: slice.address),
                    iov_len: slice.byteCount)
            }
            unsafe io_uring_prep_readv(entry, target, places, UInt32(slices.count), offset)
            // Buffer 0, as `prep` leaves it.
            if isRegistered && hasFixedVectors { unsafe entry.pointee.opcode = Self.readvFixed }
        case (.read, true):
            unsafe io_uring_prep_read_fixed(entry, target, memory, count, offset, 0)
        case (.read, false): unsafe io_uring_prep_read(entry, target, memory, count, offset)
        case (.write, true):
            unsafe io_uring_prep_write_fixed(entry, target, memory, count, offset, 0)
        case (.write, false): unsafe io_uring_prep_write(entry, target, memory, count, offset)
        }
        if slot >= 0 { unsafe io_uring_sqe_set_flags(entry, Self.fixedFile) }
        unsafe io_uring_sqe_set_data64(entry, UInt64(place))
    }

    /// Completes when somebody writes to the event descriptor; every time, if lasting.
    func prepareWake(_ event: Int32, isLasting: Bool, userData: UInt64) {
        // SAFETY: as above; one entry beyond the requests is kept for this.
        let entry = unsafe io_uring_get_sqe(ring)!
        if isLasting {
            unsafe io_uring_prep_poll_multishot(entry, event, UInt32(POLLIN))
        } else {
            unsafe io_uring_prep_poll_add(entry, event, UInt32(POLLIN))
        }
        unsafe io_uring_sqe_set_data64(entry, userData)
    }

    /// Hands everything prepared to the kernel; waits for a completion if asked to.
    /// *Returns:* an error number, or 0.
    func submit(waiting: Bool) -> Int32 {
        // SAFETY: the ring is initialized.
        let result =
            if waiting {
                unsafe io_uring_submit_and_wait(ring, 1)
            } else if defersTasks {
                unsafe io_uring_submit_and_get_events(ring)
            } else {
                unsafe io_uring_submit(ring)
            }
        return result < 0 ? -result : 0
    }

    /// The completions that are there, at most `limit`.
    func reap(limit: Int) -> [Completion] {
        unsafe withUnsafeTemporaryAllocation(
            of: UnsafeMutablePointer<io_uring_cqe>?.self, capacity: limit
        ) { entries in
            // SAFETY: the kernel fills `count` entries, which stay until they are advanced over.
            let count = unsafe Int(
                io_uring_peek_batch_cqe(ring, entries.baseAddress!, UInt32(limit)))
            let completions = (0..<count).map { index in
                let entry = unsafe entries[index]!.pointee
                return Completion(
                    userData: entry.user_data, result: entry.res,
                    hasMore: entry.flags & UInt32(IORING_CQE_F_MORE) != 0)
            }
            unsafe io_uring_cq_advance(ring, UInt32(count))
            return completions
        }
    }
}
