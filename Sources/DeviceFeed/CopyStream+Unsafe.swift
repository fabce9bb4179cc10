// Copies from pinned memory to a device, one after the other, by the device itself. Whoever starts
// one gets an answer when it has ended; one thread sleeps for the oldest.
//
// Invariant: what a copy reads and writes is held until the driver has said that the copy ended.
// A driver that says neither (a device that was lost) has its memory kept for ever: unpinned or
// used again, it could still be read, or written over by somebody.

import BlockIO
import CDeviceDriver
import Primitives
import Synchronization

/// *Concurrency:* any thread.
final class CopyStream: Sendable {
    typealias End = Result<Void, DeviceError>

    /// An address of the host, as many bytes as the target has.
    struct Copy {
        let source: UInt
        let target: DeviceSlice
    }

    let device: Device
    private let stream: StreamHandle
    private let threads: WorkThreads
    private let lost = Atomic<Int>(0)

    init(_ device: Device) throws(DeviceError) {
        self.device = device
        stream = try StreamHandle(device)
        threads = WorkThreads(name: "chunkdb-copies", count: 1)
    }

    /// The thread ends after the copies that are on their way, each of which holds the stream.
    deinit { threads.finish() }

    /// Copies whose end nobody knows; their memory is kept.
    var lostCount: Int { lost.load(ordering: .relaxed) }

    /// Starts copies, in order. `sources` owns the host's memory and is held until they have ended,
    /// as the targets are.
    func start(_ copies: [Copy], holding sources: any AnyObject & Sendable) -> OneShot<End> {
        let end = OneShot<End>()
        let held = Held(sources, copies.map(\.target.buffer))
        var event: EventHandle?
        var failure: DeviceError?
        do throws(DeviceError) {
            for copy in copies where copy.target.byteCount > 0 {
                try stream.copy(copy)
            }
            event = try stream.mark()
        } catch {
            // Some may be on their way: whatever the stream has must end first.
            failure = error
        }
        threads.run { [stream, event, failure, self] in
            var result = failure.map { End.failure($0) } ?? .success(())
            do throws(DeviceError) {
                if let event { try event.wait() } else { try stream.wait() }
            } catch {
                if failure == nil { result = .failure(error) }
                if event == nil || !stream.isIdle { keep(held) }
            }
            held.letGo()
            end.give(result)
        }
        return end
    }

    /// Returns when what was started before has ended.
    func drain() async {
        await withCheckedContinuation { continuation in threads.run { continuation.resume() } }
    }

    private func keep(_ held: Held) {
        lost.add(1, ordering: .relaxed)
        // SAFETY: never released, on purpose: see the invariant.
        _ = unsafe Unmanaged.passRetained(held.forEver())
    }
}

/// What a copy must find in place until its end.
private final class Held: Sendable {
    private final class Things: Sendable {
        let source: any AnyObject & Sendable
        let targets: [DeviceBuffer]
        init(_ source: any AnyObject & Sendable, _ targets: [DeviceBuffer]) {
            (self.source, self.targets) = (source, targets)
        }
    }
    private let things: Mutex<Things?>

    init(_ source: any AnyObject & Sendable, _ targets: [DeviceBuffer]) {
        things = Mutex(Things(source, targets))
    }

    /// Before anybody hears of the end: who has the answer has the last hold.
    func letGo() {
        let last = things.withLock { things in
            defer { things = nil }
            return things
        }
        withExtendedLifetime(last) {}
    }

    func forEver() -> AnyObject { things.withLock { $0! } }
}

/// A stream of the driver's, of our own.
@safe private final class StreamHandle: @unchecked Sendable {
    // SAFETY: immutable; the driver lets any thread use it.
    private let device: Device
    private let raw: chunkdb_cuda_handle

    init(_ device: Device) throws(DeviceError) {
        var raw: chunkdb_cuda_handle?
        try device.call("cuStreamCreate", "a stream for copies") { calls in
            // SAFETY: one handle to write to.
            unsafe calls.makeStream(&raw, chunkdb_cuda_stream_non_blocking)
        }
        self.device = device
        unsafe self.raw = unsafe raw!
    }

    deinit {
        try? device.call("cuStreamDestroy_v2", "the stream for copies") { calls in
            // SAFETY: made by `init`; whoever uses it holds this object.
            unsafe calls.endStream(raw)
        }
    }

    func copy(_ copy: CopyStream.Copy) throws(DeviceError) {
        let byteCount = copy.target.byteCount
        try device.call("cuMemcpyHtoDAsync_v2", "\(byteCount) bytes") { calls in
            // SAFETY: the caller holds source and target until the copy has ended.
            unsafe calls.copyToDevice(
                copy.target.address, UnsafeRawPointer(bitPattern: copy.source), byteCount, raw)
        }
    }

    /// An event behind everything that was started so far.
    func mark() throws(DeviceError) -> EventHandle {
        let event = try EventHandle(device)
        try device.call("cuEventRecord", "the end of a copy") { calls in
            // SAFETY: both handles are alive.
            unsafe calls.recordEvent(event.raw, raw)
        }
        return event
    }

    func wait() throws(DeviceError) {
        try device.call("cuStreamSynchronize", "the end of copies") { calls in
            // SAFETY: the handle is alive.
            unsafe calls.awaitStream(raw)
        }
    }

    /// Whether the driver says that everything has ended; waits for it.
    var isIdle: Bool { (try? wait()) != nil }
}

/// An event of the driver's.
@safe private final class EventHandle: @unchecked Sendable {
    // SAFETY: immutable; the driver lets any thread use it.
    private let device: Device
    let raw: chunkdb_cuda_handle

    init(_ device: Device) throws(DeviceError) {
        var raw: chunkdb_cuda_handle?
        try device.call("cuEventCreate", "an event for a copy's end") { calls in
            // SAFETY: one handle to write to.
            unsafe calls.makeEvent(&raw, chunkdb_cuda_event_blocking_untimed)
        }
        self.device = device
        unsafe self.raw = unsafe raw!
    }

    deinit {
        try? device.call("cuEventDestroy_v2", "an event for a copy's end") { calls in
            // SAFETY: made by `init`; the thread that waited for it is back.
            unsafe calls.endEvent(raw)
        }
    }

    func wait() throws(DeviceError) {
        try device.call("cuEventSynchronize", "the end of a copy") { calls in
            // SAFETY: the handle is alive.
            unsafe calls.awaitEvent(raw)
        }
    }
}
