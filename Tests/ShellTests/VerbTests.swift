import ChunkDB
import ChunkFormat
import Foundation
import KVModel
import Primitives
import Testing

@testable import chunkdb

@Suite("Verbs on a healthy store")
struct VerbTests {
    /// Everything the shell can be asked about the bench's store, in one place.
    static let questions: [(name: String, words: [String])] = [
        ("info", ["info"]),
        ("ls", ["ls"]),
        ("ls-namespace", ["ls", "--namespace", "wide"]),
        ("ls-prefix", ["ls", "--prefix", String("\(key(1))".prefix(6)).uppercased()]),
        ("ls-limit", ["ls", "--limit", "2"]),
        ("ls-nothing", ["ls", "--prefix", String(repeating: "0", count: 64)]),
        ("ls-long", ["ls", "--long", "--sort", "size", "--limit", "2"]),
        ("ls-page", ["ls", "--offset", "2", "--limit", "1"]),
        ("ls-pinned", ["ls", "--pinned", "--min-size", "1KiB"]),
        ("variants", ["variants"]),
        ("variants-all", ["variants", "--min", "1", "--limit", "3"]),
        ("top", ["top", "--limit", "2"]),
        ("policy", ["policy"]),
        ("show", ["show", String("\(key(1))".prefix(8))]),
        ("show-variant", ["show", "\(key(1))", "--variant", "0000000000000000"]),
        ("show-all", ["show", "\(key(2))", "--tokens", "--digests"]),
        ("show-tokens", ["show", "\(key(3))", "--tokens"]),
        ("show-two-records", ["show", "\(key(5, binding("eight", layers: 8)))"]),
        (
            "show-hostile",
            ["show", "\(key(6, binding("x", layers: 1)))", "--namespace", hostileName]
        ),
        ("find", ["find", "\(key(1))"]),
        ("find-removed", ["find", String("\(key(4))".prefix(8))]),
        ("find-two-records", ["find", "\(key(5, binding("eight", layers: 8)))"]),
        ("segments", ["segments"]),
        ("verify", ["verify"]),
        ("verify-namespace", ["verify", "--namespace", "acme"]),
        ("set-capacity", ["set-capacity", "8MiB", "--dry-run"]),
        ("compact", ["compact", "--dry-run"]),
    ]

    @Test("answer as their snapshots say, in text and in JSON, and change no byte")
    func snapshots() throws {
        let place = try Place()
        try place.makeStore()
        let before = try place.contents()
        for (name, words) in Self.questions {
            try Snapshot.compare(place.run(words), name, in: place)
            let json = place.run(words + ["--json"])
            try Snapshot.compare(json, name + "-json", in: place)
            try expectSchemaManners(json, verb: words[0])
        }
        #expect(try place.contents() == before)
    }

    /// One object that names its verb, with keys in lowerCamelCase all the way down.
    private func expectSchemaManners(_ outcome: Outcome, verb: String) throws {
        let object = try outcome.json
        #expect(object["verb"] as? String == verb)
        func check(_ value: Any) {
            if let object = value as? [String: Any] {
                for (name, value) in object {
                    #expect(name.wholeMatch(of: /[a-z][a-zA-Z0-9]*/) != nil, "\(name)")
                    check(value)
                }
            } else if let list = value as? [Any] {
                list.forEach(check)
            }
        }
        check(object)
    }

    /// No snapshot: what a file system allocates is its own affair.
    @Test("space adds up to what is allocated, and knows the planes to the byte")
    func space() throws {
        let place = try Place()
        try place.makeStore()
        let outcome = place.run(["space", "--json"])
        try expectSchemaManners(outcome, verb: "space")
        let object = try outcome.json
        func number(_ name: String) throws -> UInt64 {
            UInt64(try #require(object[name] as? Int, "\(name)"))
        }
        let files = try #require(object["files"] as? [[String: Any]])
        #expect(files.contains { $0["file"] as? String == "superblock" })
        let segments = try place.run(["segments", "--json"]).json
        let (planes, headers) = (try number("planeBytes"), try number("headerBytes"))
        #expect(planes > 0 && planes + headers == segments["liveBytes"] as? Int ?? 0)
        #expect(try number("deadBytes") == segments["deadBytes"] as? Int ?? 0)
        let sum = try files.reduce(
            planes + headers + number("deadBytes") + number("unwrittenBytes")
        ) { $0 + UInt64($1["bytes"] as? Int ?? 0) }
        // A file system may allocate less than is in use, for holes, never lose more than that.
        #expect(try sum >= number("allocatedBytes"))
        let ratio = try #require(object["amplification"] as? Double)
        #expect(try abs(ratio - Double(number("allocatedBytes")) / Double(planes)) < 1e-9)
        let text = place.run(["space"])
        #expect(text.exit == .fine && text.output.contains("living planes"))
    }

    @Test("let nothing that could command a terminal through")
    func controlCharacters() throws {
        let place = try Place()
        try place.makeStore()
        for (_, words) in Self.questions {
            for words in [words, words + ["--json"]] {
                let outcome = place.run(words)
                for scalar in (outcome.output + outcome.errors).unicodeScalars {
                    let isPlain =
                        scalar == "\n"
                        || scalar.value >= 0x20 && scalar.value != 0x7F
                            && !(0x80..<0xA0).contains(scalar.value) && scalar != "\u{202E}"
                    #expect(isPlain, "U+\(String(scalar.value, radix: 16)) in \(words)")
                }
            }
        }
        let list = place.run(["ls"])
        #expect(list.output.contains("evil\\u{1b}]0;owned\\u{7}\\u{202e}gnp"))
        let variants = try place.run(["ls", "--json"]).json["variants"] as? [[String: Any]]
        #expect(variants?.last?["namespace"] as? String == hostileName)
    }

    @Test("`export` writes the planes that were put, and what a reader needs")
    func export() throws {
        let place = try Place()
        try place.makeStore()
        let file = place.path + "/five.safetensors"
        let wide = binding("eight", layers: 8)
        let outcome = place.run(["export", "\(key(5, wide))", file])
        try Snapshot.compare(outcome, "export", in: place)
        let bytes = [UInt8](try #require(FileManager.default.contents(atPath: file)))
        let found = try Safetensors(parsing: bytes.span)
        #expect(found.tensors.count == 16)
        for layer in 0..<8 {
            for (letter, isKeys) in [("k", true), ("v", false)] {
                let tensor = try #require(found["layers.\(layer).\(letter)"])
                #expect(tensor.shape == [16, 1, 64])
                #expect(tensor.elementType == .float32)
                #expect(
                    Array(bytes[tensor.fileRange]) == plane(5, layer: layer, isKeys: isKeys))
            }
        }
        let metadata = Dictionary(uniqueKeysWithValues: found.metadata.map { ($0.name, $0.value) })
        #expect(metadata["key"] == "\(key(5, wide))")
        #expect(metadata["variant"] == "0000000000000000")
        #expect(metadata["positions"] == "0..<16")
        #expect(metadata["tokens"] == nil)
        let permissions = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions]
        #expect((permissions as? NSNumber)?.intValue == 0o600)

        let other = place.path + "/one.safetensors"
        let variant = PrefixContext(prefix: [key(2)], basePosition: 16).variantID
        let json = place.run([
            "export", "\(key(1))", other, "--variant", "\(variant)", "--tokens", "--json",
        ])
        try Snapshot.compare(json, "export-json", in: place)
        let again = [UInt8](try #require(FileManager.default.contents(atPath: other)))
        let facts = try Safetensors(parsing: again.span).metadata
        #expect(facts.contains { $0.name == "positions" && $0.value == "16..<32" })
        #expect(facts.contains { $0.name == "tokens" && $0.value.hasPrefix("1000,1001,") })
    }

    @Test("`export` overwrites nothing, and asks which variant is meant")
    func exportRefusals() throws {
        let place = try Place()
        try place.makeStore()
        let file = place.path + "/taken"
        try Data("mine".utf8).write(to: URL(fileURLWithPath: file))
        let taken = place.run(["export", "\(key(2))", file])
        #expect(taken.exit == .cannotWrite)
        #expect(taken.errors.contains("exists already"))
        #expect(FileManager.default.contents(atPath: file) == Data("mine".utf8))
        let link = place.path + "/link"
        try FileManager.default.createSymbolicLink(
            atPath: link, withDestinationPath: place.path + "/nowhere")
        #expect(place.run(["export", "\(key(2))", link]).exit == .cannotWrite)
        #expect(!FileManager.default.fileExists(atPath: place.path + "/nowhere"))
        #expect(place.run(["export", "\(key(2))", "/nonexistent/x"]).exit == .cannotWrite)
        let unclear = place.run(["export", "\(key(1))", place.path + "/unclear"])
        #expect(unclear.exit == .usage)
        #expect(unclear.errors.contains("--variant 0000000000000000"))
        #expect(!FileManager.default.fileExists(atPath: place.path + "/unclear"))
    }

    @Test("look at a store that is open elsewhere, without disturbing it")
    func openElsewhere() throws {
        let place = try Place()
        func contents() throws -> [String: Data] {
            var files = try place.contents()
            // The engine writes its mark behind the superblock's copies when it finds time.
            files["superblock"] = files["superblock"]?.prefix(Int(Superblock.markOffset))
            return files
        }
        try place.makeStore { db in
            let before = try contents()
            let info = place.run(["info", "--json"])
            #expect(info.exit == .fine)
            #expect(try info.json["variantCount"] as? Int == 6)
            #expect(try info.json["isOpenElsewhere"] as? Bool == true)
            #expect(place.run(["info"]).output.contains("open in a process"))
            #expect(place.run(["verify"]).exit == .fine)
            #expect(try contents() == before)
            #expect(db.namespace("acme")?.entryCount == 4)
        }
        #expect(try place.run(["info", "--json"]).json["isOpenElsewhere"] as? Bool == false)
    }

    @Test("`verify` beside a writer takes no race for damage, and damage for no race")
    func besideWriter() throws {
        let place = try Place()
        try place.makeStore { db in
            let done = DispatchSemaphore(value: 0)
            Thread.detachNewThread {
                db.wait { await putMany(in: db) }
                done.signal()
            }
            while done.wait(timeout: .now()) == .timedOut {
                let outcome = place.run(["verify"])
                #expect(outcome.exit == .fine, "\(outcome.output)")
            }
            #expect(db.namespace("acme")?.entryCount == 44)
            let shown = try place.run(["show", "\(key(2))", "--json"]).json
            let variant = try #require((shown["variants"] as? [[String: Any]])?.first)
            let record = try #require((variant["records"] as? [[String: Any]])?.first)
            try place.overwrite(
                try #require(record["file"] as? String),
                at: try #require(record["offset"] as? UInt64) + 5_000, with: [0xAA, 0x55])
            #expect(place.run(["verify"]).exit == .damageFound)
        }
    }

    private func putMany(in db: ChunkDB) async {
        guard let acme = db.namespace("acme") else { return }
        for owner in 100..<140 as Range<UInt32> {
            do {
                try await put(owner, in: acme)
                if owner.isMultiple(of: 5) { try await db.checkpoint() }
            } catch {
                Issue.record(error)
            }
        }
    }

    @Test("need no checkpoint: the log says the same")
    func withoutCheckpoint() throws {
        let place = try Place()
        try place.makeStore()
        let before = place.run(["ls"]).output
        try FileManager.default.removeItem(atPath: place.store + "/checkpoint")
        #expect(place.run(["ls"]).output == before)
        let info = place.run(["info"])
        #expect(info.exit == .fine)
        #expect(info.output.contains("checkpoint not used: there is none"))
        #expect(place.run(["verify"]).exit == .fine)
    }
}
