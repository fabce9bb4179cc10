// The fake driver as the tests use it: one in the process, so these tests run one after the other.

import CFakeDevice
import ChunkDB
import ChunkFormat
import EngineTestSupport
import Feed
import Primitives
import StoreTestSupport
import Testing

@testable import DeviceFeed

@Suite("Feeding a device", .serialized)
enum OnDevice {}

enum FakeDevice {
    static let library = DriverLibrary(name: "libfake.so.1") { name in
        fake_symbol(name).map { UInt(bitPattern: $0) }
    }

    static func open() throws(DeviceError) -> Device { try DeviceDriver(library).open() }

    static func count(_ kind: String) -> Int { Int(fake_count(kind)) }

    /// Whether so many copies come to be on their way. Waits in steps, and never with a thread that
    /// the feed may need.
    static func hasCopies(_ wanted: Int) async -> Bool {
        for _ in 0..<12_000 where count("copies") < wanted {
            try? await Task.sleep(for: .milliseconds(5))
        }
        return count("copies") >= wanted
    }

    static let kinds = [
        "memory", "pinned", "context", "stream", "event", "cufile", "handle", "target",
    ]

    /// What is alive, once the threads of the last feed have ended; all gone, if it can be.
    static func leftovers() async -> [String] {
        for _ in 0..<200 {
            if kinds.allSatisfy({ count($0) == 0 }) { break }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return kinds.filter { count($0) != 0 }.map { "\(count($0)) \($0)" }
    }
}

/// Chunks on a real disk, whose rows a feed must bring.
struct StoredPrompt: Sendable {
    let space: Namespace
    let chunks: [TestChunk]

    init(_ db: ChunkDB, layers: Int = 6, tokenCounts: [Int] = [16, 40, 17, 32]) async throws {
        space = try await db.namespace("acme", model: smallBinding(layers: layers))
        var chunks: [TestChunk] = []
        for (owner, count) in tokenCounts.enumerated() {
            let chunk = TestChunk(UInt64(owner), tokenCount: count)
            try await chunk.put(in: space)
            chunks.append(chunk)
        }
        self.chunks = chunks
    }

    var items: [FeedItem] { chunks.map { FeedItem(space, $0.key(in: space)) } }
    var rowCount: Int { chunks.reduce(0) { $0 + $1.tokens.count } }

    func slabs(on device: Device) throws(DeviceError) -> DeviceSlabs {
        try DeviceSlabs(on: device, for: space.binding, rowCount: rowCount)
    }

    private func rows(_ layer: Int, _ kind: ExtentKind) -> [UInt8] {
        chunks.flatMap {
            let planes = $0.layers(space.binding)[layer]
            return kind == .keys ? planes.keys : planes.values
        }
    }

    /// Whether the device has just what was put.
    func isRight(_ layer: DeviceLayer) throws -> Bool {
        let (keys, values) = (try layer.keys.bytes(), try layer.values.bytes())
        return areEqual(keys, rows(layer.layer, .keys))
            && areEqual(values, rows(layer.layer, .values))
    }
}

extension DeviceFeed {
    /// What `nextLayer` gave or threw.
    func next() async -> Result<DeviceLayer?, DeviceError> {
        do {
            return .success(try await nextLayer())
        } catch {
            return .failure(error)
        }
    }
}

/// Runs a test on a store of a real disk with a fresh device, and says what is left of it.
func session(
    _ engine: DiskEngine = .automatic, keeps: [String] = [],
    _ body: @escaping @Sendable (ChunkDB) async throws -> Void
) throws {
    fake_reset()
    let place = StorePlace(.real(engine))
    try place.session { db in
        try await body(db)
    }
    try place.session { _ in
        let leftovers = await FakeDevice.leftovers()
        #expect(leftovers == keeps)
    }
    #expect(FakeDevice.count("violations") == 0)
}
