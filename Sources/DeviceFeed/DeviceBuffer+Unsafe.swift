// Memory of a device. Its bytes are out of the host's reach: an address here is a number.

import CDeviceDriver

/// Memory of a device, freed with the last reference; or a part of somebody else's, which is not.
/// Whoever starts a copy into it holds a reference until the copy has ended.
public final class DeviceBuffer: Sendable {
    public let device: Device
    /// On the device.
    public let address: UInt64
    public let byteCount: Int
    /// Who frees the memory; `nil`: this object.
    private let owner: (any AnyObject & Sendable)?

    /// New memory; undefined bytes. *Throws:* `.driver`, for example when there is not as much.
    public init(on device: Device, byteCount: Int) throws(DeviceError) {
        precondition(byteCount > 0, "device memory of \(byteCount) bytes")
        var address: UInt64 = 0
        try device.call("cuMemAlloc_v2", "\(byteCount) bytes") { calls in
            // SAFETY: one number to write to.
            unsafe calls.allocate(&address, byteCount)
        }
        self.device = device
        self.address = address
        self.byteCount = byteCount
        owner = nil
    }

    /// Memory that somebody else allocated on the device, for example an engine's cache. It stays
    /// allocated as long as `owner` lives, which this object holds.
    public init(
        on device: Device, address: UInt64, byteCount: Int, owner: any AnyObject & Sendable
    ) {
        self.device = device
        self.address = address
        self.byteCount = byteCount
        self.owner = owner
    }

    deinit {
        if owner != nil { return }
        // A device that was lost has freed it by itself.
        try? device.call("cuMemFree_v2", "\(byteCount) bytes") { calls in
            // No copy holds this object any more.
            calls.free(address)
        }
    }

    /// Copies bytes back to the host, and waits for that: to look at them, not for speed.
    public func bytes(_ range: Range<Int>) throws(DeviceError) -> [UInt8] {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount, "bytes outside")
        var bytes = [UInt8](repeating: 0, count: range.count)
        if range.isEmpty { return bytes }
        let source = address + UInt64(range.lowerBound)
        var failure: DeviceError?
        unsafe bytes.withUnsafeMutableBytes { target in
            do throws(DeviceError) {
                try device.call("cuMemcpyDtoH_v2", "\(range.count) bytes") { calls in
                    // SAFETY: as many bytes as the array has, from inside the buffer.
                    unsafe calls.copyToHost(target.baseAddress!, source, range.count)
                }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }
}
