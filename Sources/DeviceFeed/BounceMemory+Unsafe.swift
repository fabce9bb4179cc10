// Pinned host memory between the disk and a device. The disk reads into it, the host verifies it
// there, and the device fetches it by itself: one copy on the way, none of it the processor's.
//
// It is taken and pinned once, since pinning costs more than the read that follows, and it is our
// own memory, not the driver's: direct I/O takes it, it lies in huge pages, and core dumps leave it
// out. A piece goes back with its slab, and a copy holds the slab until it has ended.

import BlockIO
import CDeviceDriver
import ChunkDB
import Feed
import Synchronization

/// Pinned memory of bounded size, and the stream on which it is copied. May serve several feeds;
/// where others have it all, `nextLayer` says `.bounceTooSmall` and can be asked again.
public final class BounceMemory: Sendable, SlabSource {
    public let byteCount: Int
    let copies: CopyStream
    private let region: PinnedRegion

    public var device: Device { copies.device }
    public var freeByteCount: Int { region.pool.freeByteCount }

    /// - Parameter byteCount: room for `FeedOptions.layersAhead` + 2 layers lets reading, verifying
    ///   and copying go on side by side; less is slower, and one layer is the least.
    /// *Throws:* `.driver` when the device cannot pin as much.
    public init(on device: Device, byteCount: Int = 256 << 20) throws(DeviceError) {
        precondition(byteCount > 0, "bounce memory of \(byteCount) bytes")
        region = try PinnedRegion(device, byteCount: byteCount)
        copies = try CopyStream(device)
        self.byteCount = region.pool.byteCount
    }

    /// Copies as many bytes of this memory, whatever stands there, and returns when they are on the
    /// device: what the way to it can take, to compare feeds with.
    /// *Throws:* `.bounceTooSmall`, `.driver`.
    public func copyAnything(to target: DeviceSlice) async throws(DeviceError) {
        guard let slab = takeSlab(byteCount: target.byteCount) else {
            throw .bounceTooSmall(expectedBytes: target.byteCount, freeBytes: freeByteCount)
        }
        let end = copies.start(
            [CopyStream.Copy(source: slab.slice.address, target: target)], holding: slab)
        guard let result = await end.value() else { throw .store(.cancelled) }
        try result.get()
    }

    /// What stood in it before is somebody else's.
    package func takeSlab(byteCount: Int) -> Slab? {
        guard let range = region.pool.take(byteCount) else { return nil }
        let piece = PinnedPiece(region, range.lowerBound..<range.lowerBound + byteCount)
        return Slab(AlignedBuffer(storage: piece)) { [region] in region.pool.giveBack(range) }
    }
}

/// The memory, as long as a piece of it is in use.
@safe private final class PinnedRegion: @unchecked Sendable {
    /// Every unit of a disk that there is divides it.
    private static let unit = 64 << 10
    // SAFETY: immutable; pieces are disjoint (`BufferPool`).
    let pool: BufferPool
    private let device: Device

    init(_ device: Device, byteCount: Int) throws(DeviceError) {
        let byteCount = (byteCount + Self.unit - 1) / Self.unit * Self.unit
        let pool = BufferPool(byteCount: byteCount, unit: Self.unit)
        try device.call("cuMemHostRegister_v2", "pinning \(byteCount) bytes") { calls in
            // SAFETY: the pool's own memory, which ends after `deinit` has unpinned it.
            unsafe calls.registerHost(pool.base, byteCount, 0)
        }
        self.pool = pool
        self.device = device
    }

    deinit {
        try? device.call("cuMemHostUnregister", "unpinning") { calls in
            // SAFETY: pinned by `init`; every piece, and with it every copy, has ended.
            unsafe calls.unregisterHost(pool.base)
        }
    }
}

/// A part of the region, which it keeps pinned.
private final class PinnedPiece: BufferStorage, @unchecked Sendable {
    // SAFETY: immutable.
    private let region: PinnedRegion

    init(_ region: PinnedRegion, _ range: Range<Int>) {
        self.region = region
        // SAFETY: inside the region, which this object holds; nobody else has the range.
        unsafe super.init(
            pooled: region.pool.base + range.lowerBound, byteCount: range.count,
            registration: nil)
    }
}
