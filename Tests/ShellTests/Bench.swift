// A bench for the shell: small real stores in temporary directories, and the shell run in place on
// sinks of memory.

import BlockIO
import ChunkDB
import Foundation
import KVModel
import Primitives
import SegmentLog
import Testing

@testable import chunkdb

final class MemorySink: TextSink {
    let isTerminal: Bool
    var text = ""
    init(isTerminal: Bool = false) { self.isTerminal = isTerminal }
    func write(_ text: String) { self.text += text }
}

/// A clock that goes on by a step at every look.
final class SteppingClock: StoreClock, @unchecked Sendable {
    // SAFETY: used by one test on one thread.
    private var now: UInt64 = 0
    private let step: UInt64
    init(stepNanoseconds: UInt64, wallSeconds: UInt64 = 0) {
        step = stepNanoseconds
        self.wallSeconds = wallSeconds
    }
    var monotonicNanoseconds: UInt64 {
        now += step
        return now
    }
    let wallSeconds: UInt64
    func sleep(nanoseconds: UInt64) async {}
}

/// What a run of the shell left behind.
struct Outcome {
    let exit: ShellExit
    let output: String
    let errors: String

    var json: [String: Any] {
        get throws {
            let value = try JSONSerialization.jsonObject(with: Data(output.utf8))
            return try #require(value as? [String: Any])
        }
    }
}

/// A directory that ends with the test.
final class Place {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory
            .appendingPathComponent("chunkdb-shell-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var store: String { path + "/store" }

    /// `chunkdb` as it was built with the tests.
    static let executable: URL? = {
        let tests = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let program = tests.map {
            URL(fileURLWithPath: $0).deletingLastPathComponent().appendingPathComponent("chunkdb")
        }
        let isThere = program.map { FileManager.default.isExecutableFile(atPath: $0.path) }
        return isThere == true ? program : nil
    }()

    /// The shell, with what makes its answers the same on every machine.
    func run(
        _ words: [String], at other: String? = nil, terminal: Bool = false,
        clock: any StoreClock = SystemClock()
    ) -> Outcome {
        let output = MemorySink(isTerminal: terminal)
        let errors = MemorySink(isTerminal: terminal)
        let console = Console(output: output, errors: errors, clock: clock)
        let exit = Shell(console: console).run(
            [other ?? store] + words + ["--buffered", "--engine", "threads"])
        return Outcome(exit: exit, output: output.text, errors: errors.text)
    }

    /// Overwrites bytes of a file of the store.
    func overwrite(_ file: String, at offset: UInt64, with bytes: [UInt8]) throws {
        let handle = try FileHandle(forUpdating: URL(fileURLWithPath: "\(store)/\(file)"))
        try handle.seek(toOffset: offset)
        try handle.write(contentsOf: Data(bytes))
        try handle.close()
    }

    func bytes(_ file: String, at offset: UInt64, count: Int) throws -> [UInt8] {
        let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: "\(store)/\(file)"))
        try handle.seek(toOffset: offset)
        let data = try handle.read(upToCount: count) ?? Data()
        try handle.close()
        return Array(data)
    }

    /// Every file of the store and its bytes, to prove that a verb changed none.
    func contents() throws -> [String: Data] {
        var result: [String: Data] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: store) {
            result[name] = FileManager.default.contents(atPath: "\(store)/\(name)")
        }
        return result
    }
}

/// Rows of 256 bytes, so that 16 tokens fill one unit.
func binding(_ name: String, layers: Int) -> ModelBinding {
    ModelBinding(
        name: name, weightsDigest: [UInt8](repeating: 7, count: 32),
        layers: (0..<layers).map { _ in LayerGeometry(kvHeadCount: 1, headDimension: 64) },
        elementType: .float32, rotary: RotaryEmbedding(base: 10_000, dimension: 64))
}

/// Bytes that tell chunk, layer and plane apart.
func plane(_ owner: UInt32, layer: Int, isKeys: Bool) -> [UInt8] {
    (0..<16 * 64).flatMap { index in
        let value = Float(owner) + Float(layer) * 0.125 + Float(index) / 4_096
        let bits = (isKeys ? value : -value).bitPattern
        return (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
    }
}

func tokens(_ owner: UInt32) -> [UInt32] { (0..<16).map { owner * 1_000 + $0 } }

/// Would take a terminal's title, and turn what follows around.
let hostileName = "evil\u{1B}]0;owned\u{07}\u{202E}gnp"

func storeOptions() -> StoreOptions {
    var options = StoreOptions(capacity: .mebibytes(16), segmentSize: .kibibytes(64))
    options.disk.buffered = true
    options.disk.engine = .threads
    options.digestBlockShift = 12
    return options
}

extension Place {
    /// Three namespaces, five chunks, six variants, one of two records; a chunk that was removed.
    /// Closed, so that a checkpoint holds it all, unless `thenKeepOpen` gets the open store.
    func makeStore(thenKeepOpen body: ((ChunkDB) throws -> Void)? = nil) throws {
        let db = try ChunkDB.openAndWait(at: store, options: storeOptions())
        defer { db.wait { await db.close() } }
        try db.wait { () async throws in
            let acme = try await db.namespace("acme", model: binding("tiny", layers: 3))
            let second = acme.key(tokens: tokens(2))
            try await put(1, in: acme)
            try await put(
                2, in: acme,
                recompute: RecomputeMetadata(
                    contextImpact: ContextImpact(interMean: 0.25, intraMean: 0.5),
                    tokenScores: (0..<16).map { Float16($0) / 16 },
                    deviationProfile: [Float16](repeating: .nan, count: 16),
                    creationMilliseconds: 12.5))
            let context = PrefixContext(prefix: [second], basePosition: 16)
            try await put(
                1, in: acme, context: context,
                recompute: RecomputeMetadata(
                    prefix: [PrefixShare(key: second, tokenCount: 16, interMean: 0.75)],
                    creationMilliseconds: 4, deviceClass: DeviceClass("bench"),
                    parent: .standalone))
            var writer = try await acme.beginPut(
                acme.key(tokens: tokens(3)), tokens: tokens(3), pinned: true)
            for layer in 0..<3 {
                try await writer.append(
                    layer: layer, keys: plane(3, layer: layer, isKeys: true),
                    values: plane(3, layer: layer, isKeys: false))
            }
            _ = try await writer.commit()
            try await put(4, in: acme)
            try await acme.remove(acme.key(tokens: tokens(4)))
            let wide = try await db.namespace("wide", model: binding("eight", layers: 8))
            try await put(5, in: wide)
            let evil = try await db.namespace(
                hostileName, model: binding("model\n\u{9B}31m", layers: 1))
            try await put(6, in: evil)
        }
        try body?(db)
    }
}

func put(
    _ owner: UInt32, in namespace: Namespace, context: PrefixContext = .standalone,
    recompute: RecomputeMetadata? = nil
) async throws {
    try await namespace.put(
        namespace.key(tokens: tokens(owner)), tokens: tokens(owner),
        layers: (0..<namespace.binding.layerCount).map {
            (plane(owner, layer: $0, isKeys: true), plane(owner, layer: $0, isKeys: false))
        }, context: context, recompute: recompute)
}

func key(_ owner: UInt32, _ binding: ModelBinding = binding("tiny", layers: 3)) -> ChunkKey {
    ChunkKey(tokens: tokens(owner), binding: binding)
}
