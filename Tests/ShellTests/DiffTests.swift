// DIFF: both readers on stores that something happened to. They must agree on whether the store
// opens, what lives in it, every living byte, and which records are damaged.
//
// CHUNKDB_DIFF_IMAGES says how many images, CHUNKDB_DIFF_FIRST from which on. CHUNKDB_DIFF_IMAGE
// plays one again, as a failure prints it, and keeps its directory.

import ChunkDB
import ChunkFormat
import Foundation
import KVModel
import Primitives
import Testing

@testable import chunkdb

@Suite(
    "DIFF: mutated images",
    .enabled(if: IndependentReader.isPossible, "no python3 on this machine"))
struct DiffTests {
    static let environment = ProcessInfo.processInfo.environment
    static let imageCount = environment["CHUNKDB_DIFF_IMAGES"].flatMap(UInt64.init) ?? 500
    static let firstImage = environment["CHUNKDB_DIFF_FIRST"].flatMap(UInt64.init) ?? 0
    static let batchCount: UInt64 = 25

    /// The golden store; a closed one, and the same without its checkpoint; one with a checkpoint
    /// in the middle that its process left open, and the same with an end that nothing proves; one
    /// that has turned over, with its checkpoint and without; and one of coded planes and sidecars.
    static func bases(in place: Place) throws -> [DiffBase] {
        let golden = House.path("format-spec/golden/v1/small-store")
        try place.makeStore()
        var bases = [
            try DiffBase("golden", directory: golden),
            try DiffBase("closed", directory: place.store),
        ]
        try FileManager.default.removeItem(atPath: place.store + "/checkpoint")
        bases.append(try DiffBase("walked", directory: place.store))
        let busy = try busyStore(place.path + "/busy")
        var unproven = busy.image
        unproven.put(
            [UInt8](repeating: 0, count: 8_192), "superblock", at: Int(Superblock.markOffset))
        unproven.files["checkpoint"] = nil
        try unproven.write(to: place.path + "/unproven")
        let turned = try turnedOverStore(place.path + "/turned")
        var bare = turned.image
        bare.files["checkpoint"] = nil
        try bare.write(to: place.path + "/bare")
        return bases + [
            busy, try DiffBase("unproven", directory: place.path + "/unproven"), turned,
            try DiffBase("turned over, walked", directory: place.path + "/bare"),
            try codedStore(place.path + "/coded"),
        ]
    }

    /// Segments that ended and were begun again, what was copied and named again, what was removed.
    private static func turnedOverStore(_ path: String) throws -> DiffBase {
        var options = storeOptions()
        options.capacity = .mebibytes(1)
        let db = try ChunkDB.openAndWait(at: path, options: options)
        defer { db.wait { await db.close() } }
        let freedCount = try db.wait { () async throws in
            let acme = try await db.namespace("acme", model: binding("tiny", layers: 2))
            for owner in 1...90 as ClosedRange<UInt32> {
                if owner % 12 == 1 {
                    try await pin(owner, in: acme)
                } else {
                    try await put(owner, in: acme)
                }
                if owner % 7 == 0 { try await acme.remove(acme.key(tokens: tokens(owner - 1))) }
                if owner == 70 { try await db.checkpoint() }
            }
            try await db.barrier()
            return await db.logCounters().freedCount
        }
        try #require(freedCount > 5)
        return try DiffBase("turned over", directory: path)
    }

    private static func pin(_ owner: UInt32, in namespace: Namespace) async throws {
        var writer = try await namespace.beginPut(
            namespace.key(tokens: tokens(owner)), tokens: tokens(owner), pinned: true)
        for layer in 0..<namespace.binding.layerCount {
            try await writer.append(
                layer: layer, keys: plane(owner, layer: layer, isKeys: true),
                values: plane(owner, layer: layer, isKeys: false))
        }
        _ = try await writer.commit(durability: .durable)
    }

    private static func codedStore(_ path: String) throws -> DiffBase {
        let db = try ChunkDB.openAndWait(at: path, options: storeOptions())
        defer { db.wait { await db.close() } }
        try db.wait { () async throws in
            let acme = try await db.namespace("acme", model: binding("tiny", layers: 2))
            for owner in 1...4 as ClosedRange<UInt32> {
                let tokens = (0..<40 as Range<UInt32>).map { owner * 100 + $0 }
                func plane(_ salt: UInt64) -> [UInt8] {
                    var generator = SeededGenerator(seed: UInt64(owner) * 10 + salt)
                    var bytes: [UInt8] = []
                    for index in 0..<40 * 64 {
                        let exponent = UInt8(0x3E + index / 15 % 3)
                        for _ in 0..<3 {
                            bytes.append(UInt8.random(in: 0...255, using: &generator))
                        }
                        bytes.append(exponent)
                    }
                    return bytes
                }
                let layers: [(keys: [UInt8], values: [UInt8])] = [
                    (plane(0), plane(1)), (plane(2), plane(3)),
                ]
                let sidecars = (0..<2).map { layer in
                    Sidecar(
                        layer: layer, type: owner,
                        bytes: [UInt8](repeating: UInt8(owner), count: 500))
                }
                // One of them raw, with sidecars all the same.
                try await acme.put(
                    acme.key(tokens: tokens), tokens: tokens, layers: layers,
                    codec: owner == 4 ? .raw : .bytePlanesLZ4, sidecars: sidecars)
            }
        }
        return try DiffBase("coded", directory: path)
    }

    private static func busyStore(_ path: String) throws -> DiffBase {
        let db = try ChunkDB.openAndWait(at: path, options: storeOptions())
        defer { db.wait { await db.close() } }
        try db.wait { () async throws in
            let acme = try await db.namespace("acme", model: binding("tiny", layers: 2))
            for owner in 1...4 as ClosedRange<UInt32> { try await put(owner, in: acme) }
            try await acme.remove(acme.key(tokens: tokens(1)))
            try await put(1, in: acme)
            let gone = try await db.namespace("gone", model: binding("tiny", layers: 1))
            try await put(7, in: gone)
            try await db.checkpoint()
            try await put(
                2, in: acme,
                context: PrefixContext(prefix: [acme.key(tokens: tokens(1))], basePosition: 16))
            try await acme.remove(acme.key(tokens: tokens(3)), variant: .standalone)
            try await put(3, in: acme)
            try await acme.remove(acme.key(tokens: tokens(4)))
            try await db.drop(gone)
            let wide = try await db.namespace("wide", model: binding("eight", layers: 8))
            try await put(5, in: wide)
        }
        return try DiffBase("busy", directory: path)
    }

    /// What a base that turned over looks like differs from run to run.
    private static func keep(_ image: DiffImage, _ seed: UInt64) throws {
        let path = FileManager.default.temporaryDirectory.path + "/chunkdb-diff-\(seed)"
        try image.write(to: path)
        print("kept: \(path)")
    }

    @Test(
        "FMT-10 RCV-13 CKP-10 CKP-11 NSP-10 NSP-11 two readers agree on what is left of a store"
    )
    func images() throws {
        let place = try Place()
        let bases = try Self.bases(in: place)
        let readers = try DiffReaders()
        defer { readers.end() }
        let only = Self.environment["CHUNKDB_DIFF_IMAGE"].flatMap(UInt64.init)
        var counts: [String: Int] = [:]
        var failures = 0
        var next = only ?? Self.firstImage
        let end = only.map { $0 + 1 } ?? Self.firstImage + Self.imageCount
        while next < end, failures < 30 {
            let seeds = next..<min(next + Self.batchCount, end)
            next = seeds.upperBound
            let batch = try seeds.map { seed in
                let base = bases[Int(seed % UInt64(bases.count))]
                let mutation = DiffMutation(base, seed: seed)
                let path = place.path + "/image-\(seed)"
                try mutation.image.write(to: path)
                return (seed: seed, base: base, mutation: mutation, path: path)
            }
            readers.ask(batch.map(\.path))
            for (seed, base, mutation, path) in batch {
                let ours = readers.ours(path)
                let theirs = try readers.theirs()
                if let difference = ours.difference(from: theirs) {
                    failures += 1
                    try Self.keep(mutation.image, seed)
                    Issue.record(
                        "CHUNKDB_DIFF_IMAGE=\(seed) \(base.name) \(mutation.story): \(difference)")
                }
                // The engine changes what it opens, so it comes last.
                if seed % 4 == 0, let engine = try engineDifference(readers, path, ours) {
                    failures += 1
                    try Self.keep(mutation.image, seed)
                    Issue.record(
                        "CHUNKDB_DIFF_IMAGE=\(seed) \(base.name) \(mutation.story): \(engine)")
                }
                for kind in ours.kinds { counts[kind, default: 0] += 1 }
                for kind in ["checkpointEntry", "checkpointSegment", "freedUse"]
                where mutation.story.contains(where: { $0.hasPrefix(kind + ".") }) {
                    counts[kind, default: 0] += 1
                }
                if only == nil { try FileManager.default.removeItem(atPath: path) }
            }
        }
        guard only == nil else {
            print("kept: \(place.path)")
            return
        }
        // No suite is vacuous: every outcome occurs.
        for kind in ["refused", "all there", "damaged", "missing", "damaged member"] {
            #expect(counts[kind, default: 0] > Int(Self.imageCount) / 100, "\(kind): \(counts)")
        }
        for kind in ["checkpointEntry", "checkpointSegment", "freedUse"] {
            #expect(counts[kind, default: 0] > 0 || Self.imageCount < 500, "\(kind): \(counts)")
        }
        print("DIFF: images \(Self.firstImage)..<\(end), \(counts)")
    }
}

/// What the engine serves of an image that the shell has read, against what the shell says.
private func engineDifference(_ readers: DiffReaders, _ path: String, _ ours: DiffVerdict) throws
    -> String?
{
    guard let engine = try readers.engine(path) else {
        // It writes to no store of another unit than version 1's.
        return ours.refused == nil && ours.unit == 4_096 ? "the engine refuses: \(ours)" : nil
    }
    return ours.served.difference(from: engine).map { "shell and engine: \($0)" }
}

/// What one reader says of one image.
struct DiffVerdict {
    var refused: String?
    /// By name: the digest of the stored bytes, or "damaged".
    var living: [String: String] = [:]
    /// Members of proven commits that do not open: segment and offset.
    var damagedRecords: [String] = []
    /// Numbers of the namespaces that are known.
    var described: Set<String> = []
    var unit = 4_096
    /// By name: those whose time is over.
    var over: Set<String> = []
    /// For people.
    var words: [String] = []

    /// Without what stands in namespaces that nobody describes, and what is over.
    var served: DiffVerdict {
        var verdict = self
        verdict.living = living.filter { entry in
            !over.contains(entry.key)
                && described.contains(String(entry.key.prefix { $0 != "/" }))
        }
        verdict.damagedRecords = []
        return verdict
    }

    func difference(from other: DiffVerdict) -> String? {
        let why =
            "\n  ours: \(refused ?? "") \(words)\n  theirs: \(other.refused ?? "") "
            + "\(other.words)"
        if (refused == nil) != (other.refused == nil) { return "one refuses: \(why)" }
        if living != other.living {
            let names = Set(living.keys).union(other.living.keys).sorted()
            let lines = names.filter { living[$0] != other.living[$0] }.map {
                "\($0): ours \(living[$0] ?? "none"), theirs \(other.living[$0] ?? "none")"
            }
            return "\(lines) \(why)"
        }
        // Two members may name one record, which is then told twice.
        if Set(damagedRecords) != Set(other.damagedRecords) {
            return "damaged: ours \(damagedRecords), theirs \(other.damagedRecords) \(why)"
        }
        return nil
    }

    var kinds: [String] {
        if refused != nil { return ["refused"] }
        var kinds: [String] = []
        if living.values.contains("damaged") { kinds.append("damaged") }
        if !damagedRecords.isEmpty { kinds.append("damaged member") }
        if kinds.isEmpty { kinds.append(words.isEmpty ? "all there" : "missing") }
        return kinds
    }
}
