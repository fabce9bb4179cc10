import BlockIO
import ChunkFormat
import Foundation
import Primitives
import Testing

@testable import chunkdb

@Suite("Verbs on damaged and foreign stores")
struct DamageTests {
    private func damages(_ outcome: Outcome) throws -> [[String: Any]] {
        let object = try outcome.json
        let recovery = object["recovery"] as? [String: Any]
        return try #require((object["damages"] ?? recovery?["damages"]) as? [[String: Any]])
    }

    /// The first variant of chunk `owner`, as `show --json` has it.
    private func shown(_ owner: UInt32, in place: Place) throws -> [String: Any] {
        let object = try place.run(["show", "\(key(owner))", "--json"]).json
        return try #require((object["variants"] as? [[String: Any]])?.first)
    }

    @Test("flipped payload bytes are found, named, and never exported")
    func payload() throws {
        let place = try Place()
        try place.makeStore()
        let shown = try shown(2, in: place)
        let extents = try #require(shown["extents"] as? [[String: Any]])
        let file = try #require((shown["records"] as? [[String: Any]])?.first?["file"] as? String)
        for index in [2, 5] {
            let offset = try #require(extents[index]["fileOffset"] as? UInt64)
            try place.overwrite(file, at: offset + 100, with: [0xAA, 0x55])
        }
        let verify = place.run(["verify", "--json"])
        #expect(verify.exit == .damageFound)
        let found = try damages(verify)
        try #require(found.count == 2)
        #expect(found.allSatisfy { $0["clause"] as? String == "DIG-2" })
        #expect(found.allSatisfy { $0["file"] as? String == file })
        #expect(found.allSatisfy { $0["key"] as? String == "\(key(2))" })
        #expect(found[0]["offset"] as? UInt64 == extents[2]["fileOffset"] as? UInt64)
        #expect((found[0]["reason"] as? String)?.contains("layer 1 K") == true)
        #expect((found[1]["reason"] as? String)?.contains("layer 2 V") == true)
        #expect(try verify.json["damagedVariantCount"] as? Int == 1)
        try Snapshot.compare(place.run(["verify"]), "verify-damaged", in: place)
        let state = place.path + "/state"
        try Snapshot.compare(
            place.run(["verify", "--resume", state, "--json"]), "verify-damaged-json", in: place)
        #expect(!FileManager.default.fileExists(atPath: state))
        // Others are not affected, and headers are fine.
        #expect(place.run(["verify", "--namespace", "wide"]).exit == .fine)
        #expect(place.run(["show", "\(key(2))"]).exit == .fine)
        let output = place.path + "/out"
        let export = place.run(["export", "\(key(2))", output])
        #expect(export.exit == .damageFound)
        #expect(export.errors.contains("DIG-2"))
        #expect(!FileManager.default.fileExists(atPath: output))
    }

    @Test("a header that does not open is shown as such, with what the index knows")
    func header() throws {
        let place = try Place()
        try place.makeStore()
        let records = try #require(shown(3, in: place)["records"] as? [[String: Any]])
        let file = try #require(records[0]["file"] as? String)
        let offset = try #require(records[0]["offset"] as? UInt64)
        try place.overwrite(file, at: offset + 200, with: [1, 2, 3])
        let show = place.run(["show", "\(key(3))"])
        #expect(show.exit == .damageFound)
        try Snapshot.compare(show, "show-damaged", in: place)
        for verb in [["compact"], ["set-capacity", "8MiB"]] {
            try Snapshot.compare(
                place.run(verb + ["--dry-run"]), "\(verb[0])-damaged", in: place)
        }
        let find = place.run(["find", "\(key(3))"])
        #expect(find.exit == .notFound)
        #expect(find.output.contains("1 record of the log did not open"))
        let variants = place.run(["variants", "--min", "1"])
        #expect(variants.exit == .damageFound && variants.output.contains("DAMAGED"))
        // The largest is known without its header, its overhead is not.
        let top = try place.run(["top", "--limit", "9", "--json"]).json
        let largest = try #require(top["largest"] as? [[String: Any]])
        let damaged = largest.filter { $0["key"] as? String == "\(key(3))" }
        #expect(damaged.count == 1 && damaged[0]["overheadBytes"] == nil)
        #expect(place.run(["ls", "--long"]).exit == .fine)
        // What does not open has no age.
        let ages = try place.run(["ls", "--newer-than", "4w", "--json"]).json
        #expect(ages["matchedCount"] as? Int == 5)
        let dump = place.run(["hexdump", "\(key(3))"])
        #expect(dump.exit == .damageFound)
        #expect(dump.output.contains("✗") && dump.output.contains("REC-5"))
        let verify = place.run(["verify", "--json"])
        #expect(verify.exit == .damageFound)
        let found = try damages(verify)
        try #require(found.map { $0["clause"] as? String } == ["REC-5"])
        #expect(found[0]["offset"] as? UInt64 == offset)
        #expect(place.run(["export", "\(key(3))", place.path + "/out"]).exit == .damageFound)
    }

    @Test("one damaged superblock copy is reported; three are too many")
    func superblock() throws {
        let place = try Place()
        try place.makeStore()
        try place.overwrite("superblock", at: 2 * 65_536 + 70, with: [9, 9, 9])
        let info = place.run(["info", "--json"])
        #expect(info.exit == .damageFound)
        let found = try damages(info)
        try #require(found.count == 1)
        #expect(found[0]["file"] as? String == "superblock")
        #expect(found[0]["offset"] as? Int == 131_072)
        #expect(found[0]["clause"] as? String == "SUP-2")
        #expect(place.run(["info"]).output.contains("DAMAGE"))
        #expect(place.run(["verify"]).exit == .damageFound)
        let list = place.run(["ls"])
        #expect(list.exit == .fine)
        #expect(list.errors.contains("1 place of this store is damaged"))
        for copy in [0, 3] as [UInt64] {
            try place.overwrite("superblock", at: copy * 65_536 + 70, with: [9, 9, 9])
        }
        let gone = place.run(["info"])
        #expect(gone.exit == .cannotOpen)
        #expect(gone.errors.contains("fewer than two of four copies agree"))
        #expect(gone.errors.contains("SUP-2"))
    }

    @Test("a truncated segment costs what was in its tail")
    func truncatedSegment() throws {
        let place = try Place()
        try place.makeStore()
        let records = try #require(shown(2, in: place)["records"] as? [[String: Any]])
        let file = try #require(records[0]["file"] as? String)
        let offset = try #require(records[0]["offset"] as? UInt64)
        let handle = try FileHandle(forUpdating: URL(fileURLWithPath: "\(place.store)/\(file)"))
        try handle.truncate(atOffset: offset + 8_192)
        try handle.close()
        let verify = place.run(["verify", "--json"])
        #expect(verify.exit == .damageFound)
        let found = try damages(verify)
        let ours = found.filter { $0["key"] as? String == "\(key(2))" }
        #expect(ours.contains { $0["clause"] as? String == "DIG-1" }, "\(found)")
        #expect(!found.contains { $0["namespace"] as? String == "wide" })
        for words in [["info"], ["ls"], ["show", "\(key(2))"]] {
            #expect([.fine, .damageFound].contains(place.run(words).exit), "\(words)")
        }
    }

    @Test("a store of a newer version is not touched")
    func newerVersion() throws {
        let place = try Place()
        try place.makeStore()
        var block = try place.bytes("superblock", at: 65_536, count: 4_096)
        block[8] = 2
        block.replaceSubrange(4_080..., with: [UInt8](repeating: 0, count: 16))
        let seal = SealKey(secret: Array(block[32..<64]), label: "superblock", salt: [])
            .seal(location: bigEndianBytes(1), bytes: block)
        block.replaceSubrange(4_080..., with: bigEndianBytes(seal.high) + bigEndianBytes(seal.low))
        try place.overwrite("superblock", at: 65_536, with: block)
        let info = place.run(["info"])
        #expect(info.exit == .cannotOpen)
        #expect(info.errors.contains("SUP-3"))
    }

    @Test("a checkpoint that does not open is a reason, not damage; two lost journals are the end")
    func hints() throws {
        let place = try Place()
        try place.makeStore()
        let before = place.run(["ls"]).output
        try place.overwrite("checkpoint", at: 5_000, with: [1, 2, 3, 4])
        #expect(place.run(["ls"]).output == before)
        let info = place.run(["info", "--json"])
        #expect(info.exit == .fine)
        let recovery = try info.json["recovery"] as? [String: Any]
        #expect((recovery?["checkpointIgnored"] as? String)?.contains("CKP-5") == true)
        try place.overwrite("journal-0", at: 100, with: [1, 2, 3, 4])
        #expect(place.run(["info"]).exit == .damageFound)
        #expect(place.run(["ls"]).output == before)
        try place.overwrite("journal-1", at: 100, with: [1, 2, 3, 4])
        #expect(place.run(["info"]).exit == .cannotOpen)
    }

    @Test("paths that are no store give exit 3 and a reason, in JSON too")
    func wrongPaths() throws {
        let place = try Place()
        #expect(place.run(["info"]).errors.contains("no such directory"))
        #expect(place.run(["ls"]).exit == .cannotOpen)
        try Data().write(to: URL(fileURLWithPath: place.store))
        #expect(place.run(["info"]).errors.contains("not a directory"))
        try FileManager.default.removeItem(atPath: place.store)
        try FileManager.default.createDirectory(
            atPath: place.store, withIntermediateDirectories: false)
        for verb in ["info", "ls", "verify"] {
            let outcome = place.run([verb, "--json"])
            #expect(outcome.exit == .cannotOpen)
            #expect(outcome.errors.isEmpty)
            let error = try #require(outcome.json["error"] as? [String: Any])
            #expect(error["exitCode"] as? Int == 3)
            #expect((error["message"] as? String)?.contains("no store here") == true)
        }
        #expect(try place.contents().isEmpty)
    }

    @Test("files that are not the store's are named, and left alone")
    func strangers() throws {
        let place = try Place()
        try place.makeStore()
        let name = "notes\u{1B}[2J.txt"
        try Data("mine".utf8).write(to: URL(fileURLWithPath: "\(place.store)/\(name)"))
        try Data().write(to: URL(fileURLWithPath: "\(place.store)/segments/copy"))
        let info = place.run(["info"])
        #expect(info.exit == .fine)
        #expect(info.output.contains("notes\\u{1b}[2J.txt"))
        #expect(info.output.contains("segments/copy"))
        #expect(place.run(["verify"]).exit == .fine)
    }

    @Test("direct I/O that is refused is said, and --buffered named")
    func directRefused() throws {
        let place = try Place()
        try place.makeStore()
        var options = DiskOptions()
        options.simulated.directOpen = 22
        #expect {
            _ = try StoreView(path: place.store, options: options)
        } throws: { error in
            guard let error = error as? ShellError else { return false }
            return error.exit == .cannotOpen && error.message.contains("--buffered")
        }
    }
}
