// Calls that need no context, and the way an error's number becomes an error.

import CDeviceDriver

extension DriverCalls {
    /// *Throws:* `.driver` for any number but 0.
    func require(_ result: Int32, _ call: String, _ purpose: @autoclosure () -> String)
        throws(DeviceError)
    {
        if result == 0 { return }
        throw .driver(
            call: call, purpose: purpose(), number: Int(result), name: name(ofError: result))
    }

    private func name(ofError number: Int32) -> String {
        var text: UnsafePointer<CChar>?
        // SAFETY: the driver's own constant string, copied at once; none for unknown numbers.
        guard unsafe errorName(number, &text) == 0, let text = unsafe text else {
            return "an error without a name"
        }
        return unsafe String(cString: text)
    }

    func begin() throws(DeviceError) {
        try require(initialize(0), "cuInit", "beginning")
    }

    func readVersion() throws(DeviceError) -> Int {
        var number = Int32(0)
        // SAFETY: one number to write to.
        try require(unsafe version(&number), "cuDriverGetVersion", "asking for the version")
        return Int(number)
    }

    func countDevices() throws(DeviceError) -> Int {
        var count = Int32(0)
        // SAFETY: one number to write to.
        try require(unsafe deviceCount(&count), "cuDeviceGetCount", "counting devices")
        return Int(count)
    }
}
