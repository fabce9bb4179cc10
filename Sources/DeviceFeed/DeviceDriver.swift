// The way to a device: the driver is loaded when somebody asks, and only then. A program that links
// this module runs as well where there is none.

/// The vendor's driver (CUDA), loaded. *Concurrency:* any thread.
public final class DeviceDriver: Sendable {
    let calls: DriverCalls

    /// Looks for the driver on this machine. *Throws:* `.libraryMissing`, `.symbolMissing`;
    /// `.driver` when it refuses to begin.
    public static func load() throws(DeviceError) -> DeviceDriver {
        try DeviceDriver(try DriverLibrary.open("libcuda.so.1"))
    }

    package init(_ library: DriverLibrary) throws(DeviceError) {
        calls = try DriverCalls(library)
        try calls.begin()
    }

    /// Of the driver's interface: 12,040 is 12.4.
    public var version: Int { get throws(DeviceError) { try calls.readVersion() } }

    public var deviceCount: Int { get throws(DeviceError) { try calls.countDevices() } }

    /// *Throws:* `.noDevice`; `.driver` when the device cannot be used.
    public func open(_ ordinal: Int = 0) throws(DeviceError) -> Device {
        let count = try deviceCount
        guard (0..<count).contains(ordinal) else {
            throw .noDevice(ordinal: ordinal, deviceCount: count)
        }
        return try Device(calls, ordinal: ordinal)
    }
}
