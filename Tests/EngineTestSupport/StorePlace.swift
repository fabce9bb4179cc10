// A place where a store lives through several openings: a simulated disk or a directory.

import BlockIO
import ChunkDB
import ChunkFormat
import KVModel
import Primitives
import StoreTestSupport
import Synchronization

/// Where a store of a test stands.
public enum PlaceKind: Sendable, CustomStringConvertible {
    case simulated(seed: UInt64)
    case real(DiskEngine)

    /// The simulated disk, and both real engines.
    public static let all: [PlaceKind] = [
        .simulated(seed: 11), .real(.threads), .real(.automatic),
    ]

    public var description: String {
        switch self {
        case .simulated(let seed): "simulated disk, seed \(seed)"
        case .real(let engine): "real disk, \(engine.rawValue)"
        }
    }
}

public final class StorePlace: Sendable {
    private let directory: TemporaryDirectory
    private let machineNow: Mutex<SimulatedMachine?>
    private let optionsNow: Mutex<StoreOptions>

    public init(_ kind: PlaceKind, options: StoreOptions? = nil) {
        directory = TemporaryDirectory()
        var options =
            options
            ?? StoreOptions(
                capacity: .mebibytes(64), segmentSize: .kibibytes(512), digestBlockShift: 12)
        switch kind {
        case .simulated(let seed):
            var machine = SimulatedMachine(seed: seed)
            machine.options = options
            machineNow = Mutex(machine)
        case .real(let engine):
            options.disk.engine = engine
            options.disk.registeredPoolBytes = 4 << 20
            machineNow = Mutex(nil)
        }
        optionsNow = Mutex(options)
    }

    public var options: StoreOptions {
        get { optionsNow.withLock { $0 } }
        set { optionsNow.withLock { $0 = newValue } }
    }

    /// The directory of a real place.
    public var path: String { directory.path }

    /// The simulated machine, if it is one, with its disk as it is now.
    public var machine: SimulatedMachine? {
        get { machineNow.withLock { $0 } }
        set { machineNow.withLock { $0 = newValue } }
    }

    /// Opens the store, runs `body`, closes it. The next session finds what this one left.
    @discardableResult
    public func session<Success: Sendable>(
        _ body: @escaping @Sendable (ChunkDB) async throws -> Success
    ) throws -> Success {
        var options = options
        if var machine {
            options.disk = machine.options.disk
            machine.options = options
            defer { self.machine = machine.afterRestart() }
            let db = try machine.open()
            return try machine.run { () async throws -> Success in
                try await Self.closing(db, body)
            }
        }
        let db = try ChunkDB.openAndWait(at: directory.path, options: options)
        return try db.wait { () async throws -> Success in try await Self.closing(db, body) }
    }

    private static func closing<Success: Sendable>(
        _ db: ChunkDB, _ body: @Sendable (ChunkDB) async throws -> Success
    ) async throws -> Success {
        do {
            let value = try await body(db)
            await db.close()
            return value
        } catch {
            await db.close()
            throw error
        }
    }
}

/// A binding whose rows are 300 bytes: no multiple of anything.
public func oddBinding(layers: Int = 2) -> ModelBinding {
    ModelBinding(
        name: "odd", weightsDigest: [UInt8](repeating: 9, count: 32),
        layers: (0..<layers).map { _ in LayerGeometry(kvHeadCount: 3, headDimension: 50) },
        elementType: .float16, rotary: RotaryEmbedding(base: 10_000, dimension: 50))
}

/// A plane whose bytes are cheap to make, for tests of sizes.
public func flatPlane(_ value: UInt8, byteCount: Int) -> [UInt8] {
    [UInt8](repeating: value, count: byteCount)
}

/// A miss where a test counts on a hit.
public struct Missing: Error {
    public let key: ChunkKey
}

extension Namespace {
    /// `get` of what must be there.
    public func mustGet(
        _ key: ChunkKey, variant: VariantID = .standalone, layers: Range<Int>? = nil,
        tokens: Range<Int>? = nil
    ) async throws -> ChunkData {
        guard let data = try await get(key, variant: variant, layers: layers, tokens: tokens)
        else { throw Missing(key: key) }
        return data
    }

    /// Whether `get` finds it.
    public func canGet(_ key: ChunkKey) async throws(StoreError) -> Bool {
        try await get(key) != nil
    }
}
