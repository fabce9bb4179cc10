// One device, with the context that everybody in the process shares who uses it by the vendor's
// usual library: addresses mean the same to all of them.

import CDeviceDriver

/// *Concurrency:* any thread; a call makes the context current for itself, and puts back what was.
@safe public final class Device: @unchecked Sendable {
    public let ordinal: Int
    public let name: String
    // SAFETY: immutable; the context is held until `deinit`, and may be used by any thread.
    private let calls: DriverCalls
    private let number: Int32
    private let context: chunkdb_cuda_handle

    init(_ calls: DriverCalls, ordinal: Int) throws(DeviceError) {
        var number = Int32(0)
        var context: chunkdb_cuda_handle?
        // SAFETY: the driver writes a number, at most so many letters, and a handle.
        try calls.require(
            unsafe calls.device(&number, Int32(ordinal)), "cuDeviceGet", "device \(ordinal)")
        var letters = [CChar](repeating: 0, count: 256)
        try calls.require(
            unsafe calls.deviceName(&letters, Int32(letters.count - 1), number),
            "cuDeviceGetName", "device \(ordinal)")
        try calls.require(
            unsafe calls.retainContext(&context, number), "cuDevicePrimaryCtxRetain",
            "device \(ordinal)")
        guard let context = unsafe context else {
            throw .driver(
                call: "cuDevicePrimaryCtxRetain", purpose: "device \(ordinal)", number: 0,
                name: "no context")
        }
        self.calls = calls
        self.ordinal = ordinal
        self.number = number
        unsafe self.context = unsafe context
        name = String(
            decoding: letters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        // Whoever has memory or work there holds this object.
        _ = calls.releaseContext(number)
    }

    /// Calls the driver with this device's context current.
    /// *Throws:* `.driver` for any number but 0.
    func call(
        _ name: String, _ purpose: @autoclosure () -> String, _ body: (DriverCalls) -> Int32
    ) throws(DeviceError) {
        // SAFETY: the context lives as long as this object.
        try calls.require(unsafe calls.pushContext(context), "cuCtxPushCurrent_v2", purpose())
        let result = body(calls)
        var popped: chunkdb_cuda_handle?
        let popResult = unsafe calls.popContext(&popped)
        try calls.require(result, name, purpose())
        try calls.require(popResult, "cuCtxPopCurrent_v2", purpose())
    }
}
