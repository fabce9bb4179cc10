// How bytes come to a device: the caller chooses, and what was chosen is what happens. There is no
// fallback; what cannot be done is an error that says so.

import ChunkDB

public enum DevicePath: Sendable {
    /// Read into pinned host memory, verified there as `FeedOptions.verification` says, fetched
    /// by the device. The way to take.
    case bounce(BounceMemory)
    /// Read by cuFile from the disk to the device, past the host, which therefore sees no byte:
    /// `.verified` is refused (`DeviceError.cannotVerify`).
    case cuFile(DirectFiles, Verification)
}

/// The way that a feed takes; to be logged.
public struct ActivePath: Sendable, Hashable, CustomStringConvertible {
    public enum Kind: String, Sendable, Hashable { case bounce, cuFile }
    public let kind: Kind
    public let verification: Verification
    public let deviceName: String

    public var description: String {
        let way =
            switch kind {
            case .bounce: "pinned host memory"
            case .cuFile: "cuFile, past the host"
            }
        let check = verification == .verified ? "verified on the host" : "NOT verified"
        return "to \(deviceName) by way of \(way), \(check)"
    }
}
