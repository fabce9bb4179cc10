// `set-capacity` and `compact`: what they say beforehand, what they do, and what they refuse.

import ChunkDB
import ChunkFormat
import Foundation
import KVModel
import Primitives
import Testing

@testable import chunkdb

@Suite("Verbs that change how much a store takes")
struct CapacityVerbTests {
    private func fill(
        _ place: Place, pinned: Set<UInt32> = [], count: UInt32 = 120,
        segmentSize: ByteCount = .kibibytes(256)
    ) throws {
        var options = storeOptions()
        options.segmentSize = segmentSize
        options.capacity = ByteCount(32 * segmentSize.bytes)
        let db = try ChunkDB.openAndWait(at: place.store, options: options)
        try db.wait { () async throws in
            let acme = try await db.namespace("acme", model: binding("tiny", layers: 3))
            for owner in 0..<count {
                try await acme.put(
                    key(owner), tokens: tokens(owner),
                    layers: (0..<3).map {
                        (
                            plane(owner, layer: $0, isKeys: true),
                            plane(owner, layer: $0, isKeys: false)
                        )
                    }, pinned: pinned.contains(owner), durability: .written)
            }
            await db.close()
        }
    }

    @Test("segments draws the first bytes of a large segment")
    func youngSegment() throws {
        let place = try Place()
        try fill(place, count: 8, segmentSize: .mebibytes(64))
        let lines = place.run(["segments"]).output.split(separator: "\n")
        let drawn = try #require(lines.first { $0.hasPrefix("segments/") })
        // One of 32 pieces, of 2 MiB each; a few hundred KiB of it are written.
        #expect(drawn.contains { "█▓".contains($0) } && drawn.contains("·"))
    }

    private func info(_ place: Place) throws -> [String: Any] {
        try place.run(["info", "--json"]).json
    }

    @Test("a smaller budget forgets until files fit, keeps what is pinned, and can grow again")
    func capacity() throws {
        let place = try Place()
        try fill(place, pinned: [5, 77])
        let dry = place.run(["set-capacity", "4MiB", "--dry-run"])
        #expect(dry.exit == .fine && dry.errors.contains("until they fit"), "\(dry.errors)")
        #expect(try info(place)["variantCount"] as? Int == 120)
        let done = try place.run(["set-capacity", "4MiB", "--yes", "--json"]).json
        #expect(done["isDone"] as? Bool == true)
        let forgotten = try #require(done["forgottenCount"] as? Int)
        let after = try info(place)
        #expect(after["capacityBytes"] as? Int == 4 << 20)
        #expect(try #require(after["allocatedBytes"] as? Int) <= 4 << 20)
        #expect(after["variantCount"] as? Int == 120 - forgotten && forgotten > 20)
        for owner in [5, 77] as [UInt32] {
            #expect(place.run(["show", "\(key(owner))"]).exit == .fine)
        }
        #expect(place.run(["verify"]).exit == .fine)
        let grown = place.run(["set-capacity", "64MiB", "--yes"])
        #expect(grown.exit == .fine && grown.output.contains("0 variants forgotten, done"))
        #expect(try info(place)["capacityBytes"] as? Int == 64 << 20)
        #expect(place.run(["info"]).exit == .fine)
    }

    @Test("a budget below what is pinned, or below any store's, is refused, also in a dry run")
    func refusals() throws {
        let place = try Place()
        try fill(place, pinned: Set(0..<100))
        let before = try place.contents()
        for more in [["--yes"], ["--dry-run"]] {
            let pinned = place.run(["set-capacity", "3MiB"] + more)
            #expect(pinned.exit == .usage && pinned.errors.contains("pinned"), "\(pinned.errors)")
            let small = place.run(["set-capacity", "4096"] + more)
            #expect(small.exit == .usage && small.errors.contains("at least"))
            // Named as it was asked for, not rounded to units.
            let tiny = place.run(["set-capacity", "1KiB"] + more)
            #expect(tiny.exit == .usage && tiny.errors.contains("1.0 KiB: a store has at least"))
        }
        #expect(place.run(["set-capacity", "much", "--yes"]).exit == .usage)
        #expect(try place.contents() == before)
    }

    @Test("compacting gives back what its dry run says, but for headers, and loses nothing")
    func compact() throws {
        let place = try Place()
        try fill(place)
        let db = try ChunkDB.openAndWait(at: place.store, options: storeOptions())
        try db.wait { () async throws in
            let acme = try #require(db.namespace("acme"))
            for owner in 0..<120 as Range<UInt32> where !owner.isMultiple(of: 3) {
                try await acme.remove(key(owner))
            }
            await db.close()
        }
        let dry = try place.run(["compact", "--dry-run", "--json"]).json
        let dead = try #require(dry["deadBytes"] as? Int)
        #expect(dead > 1 << 20 && dry["allocatedBytesAfter"] == nil)
        let done = try place.run(["compact", "--yes", "--json"]).json
        let before = try #require(done["allocatedBytesBefore"] as? Int)
        let after = try #require(done["allocatedBytesAfter"] as? Int)
        #expect(before - after > dead / 2, "\(done)")
        #expect(try info(place)["variantCount"] as? Int == 40)
        #expect(place.run(["verify"]).exit == .fine)
        let again = place.run(["compact", "--yes"])
        #expect(again.exit == .fine && again.output.contains("0 B copied"), "\(again.output)")
    }

    @Test("compacting a damaged store moves what is sound and forgets nothing")
    func damaged() throws {
        let place = try Place()
        try fill(place)
        #expect(place.run(["rm", "\(key(1))", "--yes"]).exit == .fine)
        let shown = try place.run(["show", "\(key(2))", "--json"]).json
        let variant = try #require((shown["variants"] as? [[String: Any]])?.first)
        let extents = try #require(variant["extents"] as? [[String: Any]])
        let records = try #require(variant["records"] as? [[String: Any]])
        try place.overwrite(
            try #require(records.first?["file"] as? String),
            at: try #require(extents[2]["fileOffset"] as? UInt64) + 100, with: [0xAA, 0x55])
        for owner in 3..<60 as Range<UInt32> where !owner.isMultiple(of: 4) {
            _ = place.run(["rm", "\(key(owner))", "--yes"])
        }
        let count = try #require(try info(place)["variantCount"] as? Int)
        #expect(place.run(["compact", "--yes"]).exit == .fine)
        #expect(try info(place)["variantCount"] as? Int == count)
        let verify = place.run(["verify", "--json"])
        #expect(verify.exit == .damageFound)
        #expect(try verify.json["damagedVariantCount"] as? Int == 1)
    }
}
