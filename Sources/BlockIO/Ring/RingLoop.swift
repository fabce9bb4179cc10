// The ring's own thread: takes requests, keeps the device's queue full, hands completions out, and
// while it has nothing else to do helps the core (`CoreThread.help`).
//
// A turn of the loop is one system call at most: it submits what is new and waits for what is due.
// The device gets as many bytes as keep it busy, in the order in which they were asked for; the
// rest waits in the backlog, where small requests pass large ones between two pieces. A flush goes
// out as soon as its turn comes; it covers the writes whose completions had been handed out before
// it was submitted, and needs no others.

import CSystemCalls
import Glibc
import Primitives
import Synchronization

final class RingLoop {
    private static let wakeData = UInt64.max

    private let ring: Ring
    private let files: PosixFiles
    private let queue: RingQueue
    /// The region that is registered as buffer 0, if any.
    private let pool: BufferPool?
    private let depth: Int
    /// Whose steps wait for transfers.
    private let core: CoreThread?

    private var pieces: [RingPiece?]
    private var freePlaces: [Int]
    /// Places whose piece must be asked for again.
    private var again: [Int] = []
    private var waiting = RingBacklog()
    /// Of the pieces that the kernel has.
    private var byteCount = 0
    private var freeSlots: [Int]
    /// Kernels before 5.13 poll only once.
    private var isBellLasting = true
    private var whenFinished: (@Sendable () -> Void)?

    init(
        _ ring: consuming Ring, _ files: PosixFiles, _ queue: RingQueue, _ pool: BufferPool?,
        helping core: CoreThread?
    ) {
        self.core = core
        depth = files.options.boundedDepth
        pieces = Array(repeating: nil, count: depth)
        freePlaces = Array((0..<depth).reversed())
        let slotCount = ring.registerFileTable(files.options.simulated)
        freeSlots = Array((0..<slotCount).reversed())
        if slotCount == 0 { files.note("files are not registered with the ring") }
        self.ring = ring
        self.files = files
        self.queue = queue
        self.pool = pool
    }

    func run() {
        hangBell()
        while true {
            for item in queue.take() { accept(item) }
            issue()
            if isIdle && whenFinished != nil { break }
            // While no place is free, a new request could not be issued: nothing to wake for.
            let mayWait = again.isEmpty && (isFull || queue.prepareToSleep())
            submit(waiting: mayWait)
            queue.noteAwake()
            if let core { core.help(after: reap) } else { _ = reap() }
        }
    }

    private func hangBell() {
        ring.prepareWake(queue.event, isLasting: isBellLasting, userData: Self.wakeData)
    }

    /// After the ring has let go of everything.
    func takeFinish() -> (@Sendable () -> Void)? { whenFinished }

    private func submit(waiting: Bool) {
        let number = ring.submit(waiting: waiting)
        files.counters.withLock { $0.submitCallCount += 1 }
        switch number {
        case 0, EINTR: break
        case EAGAIN, EBUSY, ENOMEM: usleep(1_000)
        default: preconditionFailure("io_uring_enter: error \(number)")
        }
    }

    private func accept(_ item: RingQueue.Item) {
        switch item {
        case .request(let request, let file):
            if request.operation != .flush && request.byteCount == 0 {
                files.end(request, file, .success(0))
            } else {
                waiting.append(RingTransfer(request, file))
            }
        case .register(let file, let done):
            if let slot = freeSlots.popLast() {
                if ring.setFile(slot, to: file.descriptor) {
                    file.registeredSlot.store(slot, ordering: .relaxed)
                } else {
                    freeSlots.append(slot)
                }
            }
            done()
        case .unregister(let file, let done):
            let slot = file.registeredSlot.exchange(-1, ordering: .relaxed)
            if slot >= 0 && ring.setFile(slot, to: -1) { freeSlots.append(slot) }
            done()
        case .finish(let done): whenFinished = done
        }
    }

    // MARK: Out

    private func issue() {
        while let place = again.popLast() { issue(place) }
        let pieceBytes = files.pieceBytes
        while !isFull,
            let piece = waiting.nextPiece(byteCount: pieceBytes, alignment: files.alignment)
        {
            let place = freePlaces.removeLast()
            pieces[place] = piece
            byteCount += piece.progress.byteCount
            issue(place)
        }
    }

    private var isFull: Bool {
        freePlaces.isEmpty || byteCount >= files.options.boundedBytes
    }

    private func issue(_ place: Int) {
        let piece = pieces[place]!
        let request = piece.transfer.request
        let file = piece.transfer.file
        let start = piece.start + piece.progress.done
        let byteCount = piece.progress.byteCount - piece.progress.done
        let slices = request.slices(from: start, byteCount: byteCount)
        let isRegistered = slices.allSatisfy { slice in
            slice.registration == 0
                && pool.map { $0.contains(slice.address, slice.byteCount) } == true
        }
        ring.prepare(
            request.operation, descriptor: file.descriptor,
            slot: file.registeredSlot.load(ordering: .relaxed), slices,
            offset: request.offset + UInt64(start), isRegistered: isRegistered, place: place)
    }

    // MARK: In

    /// Hands out what has ended. *Returns:* whether that was all, and nothing new was asked for.
    private func reap() -> Bool {
        let completions = ring.reap(limit: 2 * depth)
        for completion in completions { complete(completion) }
        return isIdle && !completions.contains { $0.userData == Self.wakeData }
    }

    private var isIdle: Bool {
        freePlaces.count == depth && waiting.isEmpty && again.isEmpty
    }

    private func complete(_ completion: Ring.Completion) {
        if completion.userData == Self.wakeData {
            queue.silence()
            if completion.result < 0 { isBellLasting = false }
            if !completion.hasMore { hangBell() }
            return
        }
        let place = Int(completion.userData)
        let step = advance(place, by: Int(completion.result))
        if step == .resume {
            files.counters.withLock { $0.continuedCount += 1 }
            again.append(place)
            return
        }
        let piece = pieces[place]!
        pieces[place] = nil
        byteCount -= piece.progress.byteCount
        freePlaces.append(place)
        if let result = piece.transfer.finish(piece, step) {
            files.end(piece.transfer.request, piece.transfer.file, result)
        }
    }

    private func advance(_ place: Int, by result: Int) -> TransferProgress.Step {
        let request = pieces[place]!.transfer.request
        let descriptor = pieces[place]!.transfer.file.descriptor
        if request.operation == .flush {
            if result >= 0 { return .complete }
            // These say that nothing was tried; any other error is the flush's last word.
            return result == -Int(EINTR) || result == -Int(EAGAIN)
                ? .resume : .failed(Int32(-result))
        }
        let origin = request.offset + UInt64(pieces[place]!.start)
        return pieces[place]!.progress.advance(by: result) {
            (try? SystemCalls.facts(descriptor)).map {
                Int(clamping: Int64($0.byte_count) - Int64(origin))
            }
        }
    }
}
