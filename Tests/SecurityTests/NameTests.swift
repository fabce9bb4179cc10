// S-1, S-2, S-9: what a caller names things by. No string becomes a path, no two identities share
// their bytes, and a key is compared in full.

import ChunkDB
import EngineTestSupport
import Foundation
import KVModel
import Primitives
import StoreTestSupport
import Testing

@Suite("S-1 S-2 S-9: names and keys")
struct NameTests {
    static let nastyNames: [String] = {
        let seeds = [
            "..", "../..", "/", "/etc/passwd", ".", "a/../../b", "superblock", "segments/00000000",
            "nul\0l", "\u{1B}[31m", "@", "-SEP-", "%2e%2e%2f", "..\\..\\", "CON", "a\nb",
            "\u{202E}x",
            "ｓｕｐｅｒｂｌｏｃｋ", "журнал-0", "~", "$HOME", "`id`", "; rm -rf /", "🗝️", "e\u{301}",
        ]
        var generator = SeededGenerator(seed: 1)
        return seeds
            + (0..<475).map { number in
                let parts = (0..<Int.random(in: 1...6, using: &generator)).map { _ in
                    seeds.randomElement(using: &generator)!
                }
                return String((parts.joined(separator: "/") + "\(number)").prefix(80))
            }
    }()

    @Test("S-1 DIR-5 five hundred nasty names make no file but the store's own")
    func nastyNamespaces() throws {
        let directory = TemporaryDirectory()
        let store = directory.path + "/a/b/store"
        try FileManager.default.createDirectory(
            atPath: directory.path + "/a/b", withIntermediateDirectories: true)
        let db = try ChunkDB.openAndWait(at: store, options: realOptions)
        let made = try db.wait { () async throws in
            for (number, name) in Self.nastyNames.enumerated() {
                let space = try await db.namespace(name, model: smallBinding(layers: 1))
                if number % 50 == 0 { try await TestChunk(UInt64(number)).put(in: space) }
            }
            let made = Set(db.namespaces.map(\.name))
            await db.close()
            return made
        }
        #expect(made == Set(Self.nastyNames))
        let files = try FileManager.default.subpathsOfDirectory(atPath: directory.path)
        let pattern =
            /a(\/b(\/store(\/(superblock|journal-[01]|checkpoint|heat|segments(\/\d{8,})?))?)?)?/
        for file in files { #expect(file.wholeMatch(of: pattern) != nil, "\(file)") }
        #expect(files.count > 8)
    }

    /// The collisions that others had: a separator, a shifted border, a field left out.
    @Test("S-2 IDY-1 no two identities are one: the historical cases and random near misses")
    func identities() {
        let binding = smallBinding(layers: 1)
        func key(_ adapter: String, _ extras: [[UInt8]], _ tokens: [UInt32]) -> ChunkKey {
            ChunkKey(
                tokens: tokens, binding: binding,
                identity: ChunkIdentity(adapter: adapter, extras: extras))
        }
        let cases = [
            key("ab", [[99]], [1]), key("a", [[98, 99]], [1]), key("", [[97], [98, 99]], [1]),
            key("", [[97, 98, 99]], [1]), key("", [], [1]), key("", [[]], [1]),
            key("", [[], []], [1]), key("@", [], [1]), key("-SEP-", [], [1]),
            key("", [[1, 0, 0, 0]], []), key("", [], [1, 0]), key("", [], [0, 1]),
        ]
        #expect(Set(cases).count == cases.count)
        let count = Int(ProcessInfo.processInfo.environment["CHUNKDB_IDENTITIES"] ?? "") ?? 5_000
        var generator = SeededGenerator(seed: 2)
        for _ in 0..<count {
            // The same bytes, cut at two places: all that differs is where a field ends.
            let bytes = (0..<12).map { _ in UInt8.random(in: 97...99, using: &generator) }
            let one = Int.random(in: 0...11, using: &generator)
            let other = Int.random(in: one + 1...12, using: &generator)
            func cut(_ at: Int) -> ChunkKey {
                key(String(decoding: bytes[..<at], as: UTF8.self), [Array(bytes[at...])], [7])
            }
            #expect(cut(one) != cut(other))
        }
    }

    @Test("S-9 PAY-7 a key that differs in one bit, or a namespace, is a miss")
    func oneBit() throws {
        let place = StorePlace(.simulated(seed: 3))
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 1))
            let other = try await db.namespace("globex", model: smallBinding(layers: 1))
            let chunk = TestChunk(1)
            try await chunk.put(in: space)
            let key = chunk.key(in: space)
            #expect(try await space.canGet(key))
            #expect(try await !other.canGet(key))
            for bit in 0..<256 {
                var bytes = key.bytes
                bytes[bit / 8] ^= 1 << UInt8(bit % 8)
                #expect(try await !space.canGet(ChunkKey(bytes: bytes)!), "bit \(bit)")
            }
            // Bytes under a key that is there are not replaced, whoever puts (P-5).
            let again = try await space.put(
                key, tokens: chunk.tokens, layers: TestChunk(2).layers(space.binding))
            #expect(again == .alreadyPresent)
            #expect(try await chunk.isIntact(in: space) == true)
        }
    }
}

/// A small store on a real directory, wherever that is.
var realOptions: StoreOptions {
    var options = StoreOptions(
        capacity: .mebibytes(64), segmentSize: .kibibytes(128), digestBlockShift: 12)
    options.disk.buffered = true
    options.disk.engine = .threads
    options.disk.registeredPoolBytes = 2 << 20
    return options
}
