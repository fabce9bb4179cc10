import Foundation
import Testing

@testable import chunkdb

@Suite("`repair`")
struct RepairTests {
    /// Names of all stored variants.
    private func names(_ place: Place, _ store: String) throws -> Set<String> {
        let outcome = place.run(["ls", "--json"], at: store)
        #expect(outcome.exit == .fine)
        let variants = try #require(outcome.json["variants"] as? [[String: Any]])
        return Set(
            variants.map { "\($0["namespace"] ?? "") \($0["key"] ?? "") \($0["variant"] ?? "")" })
    }

    private func exported(_ place: Place, _ store: String, _ owner: UInt32) throws -> Data {
        let file = place.path + "/\(UUID().uuidString)"
        #expect(place.run(["export", "\(key(owner))", file], at: store).exit == .fine)
        return try #require(FileManager.default.contents(atPath: file))
    }

    @Test("copies a sound store, whole")
    func sound() throws {
        let place = try Place()
        try place.makeStore()
        let before = try place.contents()
        let target = place.path + "/new"
        let outcome = place.run(["repair", target, "--json"])
        #expect(outcome.exit == .fine, "\(outcome.errors)")
        let report = try outcome.json
        #expect((report["lost"] as? [Any])?.isEmpty == true)
        #expect(try place.contents() == before, "the old store is only read")
        let there = try names(place, target)
        #expect(try there == names(place, place.store))
        #expect(report["salvagedCount"] as? Int == there.count)
        #expect(try exported(place, target, 3) == exported(place, place.store, 3))
        #expect(place.run(["verify"], at: target).exit == .fine)
    }

    @Test("leaves out what is damaged, names it, and keeps the rest")
    func damaged() throws {
        let place = try Place()
        try place.makeStore()
        let whole = try names(place, place.store)
        let shown = try place.run(["show", "\(key(2))", "--json"]).json
        let variant = try #require((shown["variants"] as? [[String: Any]])?.first)
        let extents = try #require(variant["extents"] as? [[String: Any]])
        let records = try #require(variant["records"] as? [[String: Any]])
        let file = try #require(records.first?["file"] as? String)
        let offset = try #require(extents[2]["fileOffset"] as? UInt64)
        try place.overwrite(file, at: offset + 100, with: [0xAA, 0x55])
        let target = place.path + "/new"
        let dry = place.run(["repair", target, "--dry-run"])
        #expect(dry.exit == .damageFound && dry.output.contains("lost: \(key(2))"))
        #expect(dry.output.hasSuffix("1 variant lost, not done (--dry-run)\n"), "\(dry.output)")
        #expect(!FileManager.default.fileExists(atPath: target))
        let outcome = place.run(["repair", target, "--json"])
        #expect(outcome.exit == .damageFound)
        let lost = try #require(outcome.json["lost"] as? [[String: Any]])
        #expect(lost.map { $0["key"] as? String } == ["\(key(2))"])
        let damages = try #require(outcome.json["damages"] as? [[String: Any]])
        #expect(damages.first?["clause"] as? String == "DIG-2")
        #expect(try names(place, target).count == whole.count - 1)
        #expect(try names(place, target).isSubset(of: whole))
    }

    @Test("refuses a store that is open elsewhere, and a target that is one")
    func refusals() throws {
        let place = try Place()
        let target = place.path + "/new"
        try place.makeStore { _ in
            let outcome = place.run(["repair", target])
            #expect(outcome.exit == .cannotOpen)
            #expect(outcome.errors.contains("open elsewhere"))
        }
        #expect(!FileManager.default.fileExists(atPath: target))
        let onItself = place.run(["repair", place.store])
        #expect(onItself.exit == .cannotWrite)
        #expect(place.run(["repair", target]).exit == .fine)
        let before = FileManager.default.contents(atPath: target + "/superblock")
        #expect(place.run(["repair", target]).exit == .cannotWrite)
        #expect(FileManager.default.contents(atPath: target + "/superblock") == before)
    }
}
