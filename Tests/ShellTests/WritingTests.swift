import ChunkDB
import Foundation
import KVModel
import Primitives
import Testing

@testable import chunkdb

@Suite("Verbs that change a store")
struct WritingTests {
    /// The shell with somebody there who answers.
    private func run(_ words: [String], in place: Place, answer: Bool) -> Outcome {
        let output = MemorySink()
        let errors = MemorySink()
        let console = Console(
            output: output, errors: errors,
            ask: { question in
                errors.write(question)
                return answer
            })
        let exit = Shell(console: console).run(
            [place.store] + words + ["--buffered", "--engine", "threads"])
        return Outcome(exit: exit, output: output.text, errors: errors.text)
    }

    private func listed(_ place: Place, at store: String? = nil) throws -> [String: [String: Any]] {
        let outcome = place.run(["ls", "--json"], at: store)
        #expect(outcome.exit == .fine)
        let variants = try #require(outcome.json["variants"] as? [[String: Any]])
        return Dictionary(
            uniqueKeysWithValues: variants.map { ("\($0["key"] ?? "") \($0["variant"] ?? "")", $0) }
        )
    }

    private func name(_ owner: UInt32, _ variant: VariantID = .standalone) -> String {
        "\(key(owner)) \(variant)"
    }

    private let repaired = PrefixContext(prefix: [key(2)], basePosition: 16).variantID

    static let changes = [
        ["rm", "\(key(1))"], ["pin", "\(key(2))"], ["unpin", "\(key(3))"],
        ["set-capacity", "32MiB"], ["compact"],
    ]

    @Test("say what they will do, and do nothing unless told to", arguments: changes)
    func agreement(words: [String]) throws {
        let place = try Place()
        try place.makeStore()
        let before = try place.contents()
        let dry = place.run(words + ["--dry-run", "--json"])
        #expect(dry.exit == .fine)
        #expect(try dry.json["isDone"] as? Bool == false)
        #expect(dry.errors.contains(words.count > 1 ? words[1].prefix(2) : "copy"))
        let silent = place.run(words)
        #expect(silent.exit == .usage && silent.errors.contains("--yes"))
        let refused = run(words, in: place, answer: false)
        #expect(refused.exit == .usage && refused.errors.contains("[y/N]"))
        #expect(try place.contents() == before)
        let agreed = run(words, in: place, answer: true)
        #expect(agreed.exit == .fine && agreed.output.contains("done"))
        #expect(try place.contents() != before)
        #expect(place.run(["verify"]).exit == .fine)
    }

    @Test("refuse a store that another process holds, and what is not there")
    func refusals() throws {
        let place = try Place()
        try place.makeStore { _ in
            for words in Self.changes + [["import", "x"]] {
                let outcome = place.run(words + ["--yes"])
                #expect(outcome.exit == .cannotOpen, "\(words)")
                #expect(outcome.errors.contains("open elsewhere"))
            }
        }
        for verb in ["rm", "pin", "unpin"] {
            let none = String(repeating: "0", count: 64)
            #expect(place.run([verb, none, "--yes"]).exit == .notFound)
            #expect(place.run([verb, "\(key(1))"], at: "/nonexistent").exit == .cannotOpen)
        }
    }

    @Test("`rm` forgets a variant, then all, and nothing else")
    func remove() throws {
        let place = try Place()
        try place.makeStore()
        let before = try listed(place)
        let one = place.run(["rm", "\(key(1))", "--variant", "\(repaired)", "--yes"])
        #expect(one.exit == .fine, "\(one.errors)")
        #expect(try Set(listed(place).keys) == Set(before.keys).subtracting([name(1, repaired)]))
        #expect(place.run(["rm", "\(key(1))", "--yes"]).exit == .fine)
        #expect(try listed(place).count == before.count - 2)
        #expect(place.run(["rm", "\(key(1))", "--yes"]).exit == .notFound)
        let hostile = place.run(["rm", "\(key(6, binding("x", layers: 1)))", "--yes"])
        #expect(hostile.exit == .fine && !hostile.errors.contains("\u{1B}"))
        let found = place.run(["find", "\(key(1))"])
        #expect(found.output.contains("2 tombstones"))
        #expect(place.run(["verify"]).exit == .fine)
    }

    @Test("`pin` and `unpin` change how a variant is kept, and not its bytes")
    func pinning() throws {
        let place = try Place()
        try place.makeStore()
        func isPinned(_ owner: UInt32) throws -> Bool? {
            try listed(place)[name(owner)]?["isPinned"] as? Bool
        }
        #expect(try isPinned(2) == false && isPinned(3) == true)
        #expect(place.run(["pin", "\(key(2))", "--yes"]).exit == .fine)
        #expect(place.run(["unpin", "\(key(3))", "--yes", "--json"]).exit == .fine)
        #expect(try isPinned(2) == true && isPinned(3) == false)
        #expect(place.run(["verify"]).exit == .fine)
    }

    @Test("`dump` and `load` carry a namespace over whole, and go on where they stopped")
    func dump() throws {
        let place = try Place()
        try place.makeStore()
        let before = try place.contents()
        let archive = place.path + "/archive"
        let dumped = place.run(["dump", "acme", archive, "--json"])
        #expect(dumped.exit == .fine, "\(dumped.errors)")
        #expect(try dumped.json["writtenCount"] as? Int == 4)
        #expect(try place.contents() == before)
        // An interrupted run left a piece and lacks a file.
        let names = try FileManager.default.contentsOfDirectory(atPath: archive).sorted()
        #expect(names.count == 4)
        try FileManager.default.moveItem(
            atPath: "\(archive)/\(names[0])", toPath: "\(archive)/\(names[0]).part")
        let again = try place.run(["dump", "acme", archive, "--json"]).json
        #expect(again["writtenCount"] as? Int == 1 && again["presentCount"] as? Int == 3)
        #expect(try FileManager.default.contentsOfDirectory(atPath: archive).sorted() == names)

        let other = place.path + "/other"
        let db = try ChunkDB.openAndWait(at: other, options: storeOptions())
        db.wait { await db.close() }
        let loaded = place.run(["load", archive, "--yes", "--json"], at: other)
        #expect(loaded.exit == .fine, "\(loaded.errors)")
        let there = try listed(place, at: other)
        let acme = try listed(place).filter { $0.value["namespace"] as? String == "acme" }
        #expect(Set(there.keys) == Set(acme.keys))
        #expect(there[name(3)]?["isPinned"] as? Bool == true)
        for owner in [1, 2] as [UInt32] {
            // Everything that `show` knows but places, times and write numbers.
            func facts(_ store: String) throws -> NSObject {
                let words = ["show", "\(key(owner))", "--tokens", "--json"]
                let variants = try place.run(words, at: store).json["variants"]
                return try #require(variants as? [[String: Any]]).map { variant in
                    var variant = variant
                    (variant["records"], variant["extents"]) = (nil, nil)
                    var identity = variant["identity"] as? [String: Any]
                    identity?["createdSeconds"] = nil
                    variant["identity"] = identity
                    variant["namespaceID"] = nil
                    return variant
                } as NSArray
            }
            #expect(try facts(other) == facts(place.store))
        }
        let files = try ["a", "b"].map { file -> Data in
            let path = "\(place.path)/\(file)"
            let store = file == "a" ? other : place.store
            let words = ["export", "\(key(2))", path, "--tokens"]
            #expect(place.run(words, at: store).exit == .fine)
            return try #require(FileManager.default.contents(atPath: path))
        }
        #expect(files[0].count == files[1].count)
        let twice = try place.run(["load", archive, "--yes", "--json"], at: other).json
        let outcomes = try #require(twice["files"] as? [[String: Any]])
        #expect(outcomes.allSatisfy { $0["outcome"] as? String == "present" })
        #expect(place.run(["verify"], at: other).exit == .fine)
    }

    @Test("`dump` leaves out what is damaged, and says so")
    func dumpDamaged() throws {
        let place = try Place()
        try place.makeStore()
        let shown = try place.run(["show", "\(key(2))", "--json"]).json
        let variant = try #require((shown["variants"] as? [[String: Any]])?.first)
        let extents = try #require(variant["extents"] as? [[String: Any]])
        let records = try #require(variant["records"] as? [[String: Any]])
        try place.overwrite(
            try #require(records.first?["file"] as? String),
            at: try #require(extents[2]["fileOffset"] as? UInt64) + 100, with: [0xAA, 0x55])
        let outcome = place.run(["dump", "acme", place.path + "/archive", "--json"])
        #expect(outcome.exit == .damageFound)
        #expect(try outcome.json["writtenCount"] as? Int == 3)
        let damages = try #require(outcome.json["damages"] as? [[String: Any]])
        #expect(damages.map { $0["clause"] as? String } == ["DIG-2"])
    }

    @Test("`import` stores what `export --tokens` wrote, and refuses everything else")
    func importing() throws {
        let place = try Place()
        try place.makeStore()
        let file = place.path + "/two"
        #expect(place.run(["export", "\(key(2))", file, "--tokens"]).exit == .fine)
        #expect(place.run(["rm", "\(key(2))", "--yes"]).exit == .fine)
        let dry = place.run(["import", file, "--dry-run"])
        #expect(dry.exit == .fine && dry.output == "1 variant not done\n")
        let stored = place.run(["import", file, "--yes"])
        #expect(stored.exit == .fine && stored.output == "1 variant stored\n", "\(stored.errors)")
        #expect(place.run(["verify"]).exit == .fine)
        // Into a namespace of another model.
        let mismatch = place.run(["import", file, "--namespace", "wide", "--yes"])
        #expect(mismatch.exit == .cannotWrite, "\(mismatch.errors)")
        let elsewhere = place.run(["import", file, "--namespace", "new\u{1B}", "--yes"])
        #expect(elsewhere.exit == .fine)
        #expect(try place.run(["ls", "--json"]).json["matchedCount"] as? Int == 7)

        let plain = place.path + "/plain"
        #expect(place.run(["export", "\(key(3))", plain]).exit == .fine)
        let whole = [UInt8](try #require(FileManager.default.contents(atPath: file)))
        var generator = SeededGenerator(seed: 11)
        var cases: [(String, [UInt8])] = [
            ("without tokens", [UInt8](try #require(FileManager.default.contents(atPath: plain)))),
            ("empty", []), ("cut", Array(whole.dropLast(64))),
        ]
        let header = Int(whole[0]) | Int(whole[1]) << 8
        for index in 0..<200 {
            // Anywhere in the header; planes are anybody's numbers.
            var bytes = whole
            bytes[Int.random(in: 0..<8 + header, using: &generator)] = .random(
                in: 0...255, using: &generator)
            if bytes != whole { cases.append(("byte \(index)", bytes)) }
        }
        for (what, bytes) in cases {
            let bad = place.path + "/bad"
            try Data(bytes).write(to: URL(fileURLWithPath: bad))
            let outcome = place.run(["import", bad, "--dry-run"])
            let isKnown = outcome.exit == .usage || what.hasPrefix("byte") && outcome.exit == .fine
            #expect(isKnown, "\(what): \(outcome.exit)")
            #expect(!outcome.errors.contains("\u{1B}"))
        }
        #expect(place.run(["import", "/nonexistent", "--yes"]).exit != .fine)
        #expect(place.run(["load", "/nonexistent", "--yes"]).exit == .cannotOpen)
        #expect(place.run(["load", place.store, "--yes"]).exit == .notFound)
    }
}
