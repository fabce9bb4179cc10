import ChunkDB
import Foundation
import KVModel
import Testing

@testable import chunkdb

@Suite("`ls` filters and orders")
struct ListingTests {
    private func keys(_ outcome: Outcome) throws -> [String] {
        #expect(outcome.exit == .fine, "\(outcome.errors)")
        let variants = try #require(outcome.json["variants"] as? [[String: Any]])
        return try variants.map { try #require($0["key"] as? String) }
    }

    @Test("by size, pins, pages and use")
    func filters() throws {
        let place = try Place()
        try place.makeStore { db in
            let acme = try #require(db.namespace("acme"))
            try db.wait { () async throws in
                for _ in 0..<3 { _ = try await acme.get(key(2)) }
                _ = try await acme.get(key(3))
                try await db.checkpoint()
            }
        }
        let all = try keys(place.run(["ls", "--json"]))
        let sizes = try keys(place.run(["ls", "--sort", "size", "--json"]))
        #expect(sizes.first == "\(key(5, binding("eight", layers: 8)))")
        #expect(Set(sizes) == Set(all) && sizes.count == all.count)
        let reversed = try keys(place.run(["ls", "--sort", "size", "--reverse", "--json"]))
        #expect(reversed == sizes.reversed())
        let wide = try keys(place.run(["ls", "--min-size", "40KiB", "--json"]))
        #expect(wide == [sizes[0]])
        #expect(try keys(place.run(["ls", "--max-size", "40K", "--json"])).count == 5)
        #expect(try keys(place.run(["ls", "--pinned", "--json"])) == ["\(key(3))"])
        let pages = try (0..<3).flatMap {
            try keys(place.run(["ls", "--offset", "\($0 * 2)", "--limit", "2", "--json"]))
        }
        #expect(pages == all)
        #expect(try keys(place.run(["ls", "--offset", "99", "--json"])).isEmpty)
        let used = try keys(place.run(["ls", "--sort", "uses", "--limit", "2", "--json"]))
        #expect(used == ["\(key(2))", "\(key(3))"])
        let top = try place.run(["top", "--json"]).json
        let hottest = try #require(top["hottest"] as? [[String: Any]])
        #expect(hottest.map { $0["key"] as? String } == used)
        let usage = try #require(hottest[0]["usage"] as? [String: Any])
        #expect(usage["useCount"] as? Int == 3)
        #expect(usage["lastUseSeconds"] as? Int ?? 0 > 1_700_000_000)
        let policy = try place.run(["policy", "--json"]).json
        #expect(policy["policy"] as? String == "recall")
        let spaces = try #require(policy["namespaces"] as? [[String: Any]])
        #expect(spaces.first { $0["name"] as? String == "acme" }?["useCount"] as? Int == 4)
    }

    @Test("by age, on the console's clock")
    func ages() throws {
        let place = try Place()
        try place.makeStore()
        #expect(try keys(place.run(["ls", "--newer-than", "1h", "--json"])).count == 6)
        #expect(try keys(place.run(["ls", "--older-than", "1h", "--json"])).isEmpty)
        let later = SteppingClock(
            stepNanoseconds: 1, wallSeconds: UInt64(Date().timeIntervalSince1970) + 7_200)
        let old = place.run(["ls", "--older-than", "1h", "--sort", "age", "--json"], clock: later)
        #expect(try keys(old).count == 6)
        #expect(
            try keys(place.run(["ls", "--newer-than", "1h", "--json"], clock: later)).isEmpty)
    }

    @Test(
        "spans and sizes are read as people write them",
        arguments: [
            ("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600),
            ("0s", 0), ("7", nil), ("-1d", nil), ("d", nil), ("", nil), ("1.5h", nil),
        ] as [(String, UInt64?)])
    func span(text: String, seconds: UInt64?) {
        #expect(Age(argument: text)?.seconds == seconds)
    }

    @Test(
        "sizes",
        arguments: [
            ("4096", 4_096), ("64KiB", 65_536), ("64K", 65_536), ("1.5GiB", 1_610_612_736),
            ("0", 0), ("1TiB", 1 << 40), ("", nil), ("KiB", nil), ("-1", nil), ("1e3", nil),
            ("nan", nil), ("inf", nil), ("1KiBKiB", nil), ("9999999999T", nil),
        ] as [(String, UInt64?)])
    func size(text: String, bytes: UInt64?) {
        #expect(SizeArgument(argument: text)?.bytes == bytes)
    }
}
