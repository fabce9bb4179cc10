import BlockIO
import Foundation
import Glibc
import Primitives
import Synchronization
import Testing

/// A directory of one test's own, gone with the process.
struct Place: Sendable {
    let path: String

    init(in parent: String = FileManager.default.temporaryDirectory.path) {
        path = parent + "/chunkdb-blockio-\(UUID().uuidString)"
        Place.made.withLock { $0.append(path) }
        _ = Place.removesAtExit
    }

    private static let made = Mutex<[String]>([])
    private static let removesAtExit: Void = {
        _ = atexit {
            for path in Place.made.withLock({ $0 }) {
                try? FileManager.default.removeItem(atPath: path)
            }
        }
    }()

    /// Where O_DIRECT is refused, buffered; the suite says so once.
    func openDisk(
        _ engine: DiskEngine, create: Bool = true, readOnly: Bool = false,
        helping core: CoreThread? = nil, _ change: (inout DiskOptions) -> Void = { _ in }
    ) throws -> any Disk {
        var options = DiskOptions()
        options.engine = engine
        options.registeredPoolBytes = 8 << 20
        options.buffered = !Place.isDirectPossible
        change(&options)
        return try BlockIO.openDisk(
            directory: path, create: create, readOnly: readOnly, options: options, helping: core)
    }

    /// Whether the machine's temporary directory takes O_DIRECT.
    static let isDirectPossible: Bool = {
        let place = Place()
        defer { try? FileManager.default.removeItem(atPath: place.path) }
        do {
            _ = try BlockIO.openDisk(directory: place.path, create: true, readOnly: false)
            return true
        } catch {
            return (error as? DiskError)?.code != .directIORefused
        }
    }()

    /// Whether the machine allows io_uring.
    static let isRingPossible: Bool = {
        var options = DiskOptions()
        options.engine = .ring
        options.buffered = !isDirectPossible
        let place = Place()
        defer { try? FileManager.default.removeItem(atPath: place.path) }
        return
            (try? BlockIO.openDisk(
                directory: place.path, create: true, readOnly: false, options: options)) != nil
    }()

    static let engines: [DiskEngine] = isRingPossible ? [.ring, .threads] : [.threads]
}

/// Bytes that depend on where they are.
func pattern(_ byteCount: Int, seed: UInt64) -> [UInt8] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    let words = (0..<(byteCount + 7) / 8).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
    return words.withUnsafeBytes { Array($0.prefix(byteCount)) }
}

func filled(_ disk: any Disk, _ bytes: [UInt8]) -> AlignedBuffer {
    var buffer = disk.makeBuffer(byteCount: bytes.count)
    buffer.withMutableBytes { $0.copyBytes(from: bytes) }
    return buffer
}

extension AlignedBuffer {
    var bytes: [UInt8] { withBytes { Array($0) } }
}
