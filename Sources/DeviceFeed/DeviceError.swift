// What can go wrong on the way to a device: what was tried, what was found there, what to do.

import ChunkDB

public enum DeviceError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A library is not on this machine, or does not load.
    case libraryMissing(library: String, reason: String)
    /// A library without a function that is needed: an old version, or another library.
    case symbolMissing(library: String, symbol: String)
    case noDevice(ordinal: Int, deviceCount: Int)
    /// The driver refused a call, or said in it that an earlier one has failed.
    case driver(call: String, purpose: String, number: Int, name: String)
    /// cuFile refused a call; `driverNumber` is the driver's word where it was the driver.
    case cuFile(call: String, purpose: String, number: Int, driverNumber: Int)
    /// cuFile would go through host memory unasked.
    case notDirect(reason: String)
    /// No digest is computed on a device, and verified reads were asked for there.
    case cannotVerify
    /// Rows that were stored in another form than they are computed with.
    case encoded(codec: Int, layer: Int)
    /// The device's memory for a layer is too small, or there is none.
    case noPlace(layer: Int, expectedBytes: Int, foundBytes: Int)
    /// The pinned memory has no room for one layer.
    case bounceTooSmall(expectedBytes: Int, freeBytes: Int)
    /// The file was shorter than its chunk.
    case truncated(layer: Int, offset: UInt64, expectedBytes: Int, foundBytes: Int)
    case store(StoreError)

    public var description: String {
        switch self {
        case .libraryMissing(let library, let reason):
            "\(library) not found: \(reason); install the vendor's driver, or feed into host "
                + "memory (ChunkFeed)"
        case .symbolMissing(let library, let symbol):
            "\(library) has no \(symbol); a newer driver has it"
        case .noDevice(let ordinal, let count):
            "no device \(ordinal): the driver has \(count); look at CUDA_VISIBLE_DEVICES"
        case .driver(let call, let purpose, let number, let name):
            "\(call), \(purpose): \(name) (\(number))"
        case .cuFile(let call, let purpose, let number, let driverNumber):
            "\(call), \(purpose): error \(number)"
                + (driverNumber == 0 ? "" : ", of the driver \(driverNumber)")
        case .notDirect(let reason):
            "cuFile is here but not direct: \(reason); feed by way of bounce memory"
        case .cannotVerify:
            "nothing compares digests on the device: ask for `unverified` by name, or feed by way "
                + "of bounce memory, where the host verifies"
        case .encoded(let codec, let layer):
            "layer \(layer) is stored under codec \(codec), which the device does not decode; feed "
                + "by way of bounce memory"
        case .noPlace(let layer, let expected, let found):
            "device memory for layer \(layer): \(expected) bytes of keys and as many of values are "
                + "needed, \(found) are there"
        case .bounceTooSmall(let expected, let free):
            "bounce memory: a layer needs \(expected) bytes, \(free) are free; make it larger"
        case .truncated(let layer, let offset, let expected, let found):
            "layer \(layer): the file ends after \(found) of \(expected) bytes from byte \(offset)"
        case .store(let error): "\(error)"
        }
    }
}
