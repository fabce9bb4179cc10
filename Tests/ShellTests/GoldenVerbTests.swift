// Every verb on stores whose bytes never change: the two golden ones, and the same with damage. A
// snapshot holds what all verbs say of one store, in text or in JSON.

import Foundation
import Testing

@testable import chunkdb

@Suite("Verbs on golden stores")
struct GoldenVerbTests {
    /// A golden store, and what is done to it: file, offset, bytes.
    struct Store: CustomTestStringConvertible, Sendable {
        let name: String
        let golden: String
        var damage: [(file: String, offset: UInt64, bytes: [UInt8])] = []
        var testDescription: String { name }
    }

    static let stores = [
        Store(name: "golden-small", golden: "small-store"),
        Store(name: "golden-turned-over", golden: "turned-over-store"),
        // A copy of the superblock, a plane of chunk B, the checkpoint.
        Store(
            name: "golden-small-damaged", golden: "small-store",
            damage: [
                ("superblock", 65_536 + 70, [9]), ("segments/00000000", 49_152 + 3, [0xAA]),
                ("checkpoint", 100, [0xFF]),
            ]),
        // The header of a record that commit 4 names, and a journal.
        Store(
            name: "golden-turned-over-damaged", golden: "turned-over-store",
            damage: [
                ("segments/00000001", 12_288 + 40, [0x55]), ("journal-1", 200, [0xFF, 0xFF]),
            ]),
    ]

    /// `KEY` gives way to the first key there is.
    static let questions: [[String]] = [
        ["info"], ["ls", "--long"], ["ls", "--sort", "age"],
        ["show", "KEY", "--tokens", "--digests"],
        ["find", "KEY"], ["variants", "--min", "1"], ["top"], ["segments"], ["policy"],
        ["hexdump", "KEY"], ["hexdump", "--file", "superblock"], ["verify"],
        ["plan", "PLACE/prompt.json"],
        ["export", "KEY", "PLACE/FORM.safetensors"], ["dump", "acme", "PLACE/FORM-dump"],
        ["rm", "KEY", "--dry-run"], ["pin", "KEY", "--dry-run"], ["unpin", "KEY", "--dry-run"],
        ["set-capacity", "1MiB", "--dry-run"], ["compact", "--dry-run"],
        ["load", "PLACE/FORM-dump", "--dry-run"],
        ["import", "PLACE/FORM.safetensors", "--dry-run"],
        ["repair", "PLACE/FORM-repaired", "--dry-run"], ["repair", "PLACE/FORM-repaired"],
        ["trace", "show", "PLACE/requests.jsonl"], ["trace", "replay", "PLACE/requests.jsonl"],
        ["trace", "record"], ["stats"], ["watch", "--count", "1"],
    ]

    @Test(
        "say what their snapshots say, in text and in JSON, and change no byte", arguments: stores)
    func snapshots(store: Store) throws {
        let place = try Place()
        try FileManager.default.copyItem(
            atPath: House.path("format-spec/golden/v1/\(store.golden)"), toPath: place.store)
        for damage in store.damage {
            try place.overwrite(damage.file, at: damage.offset, with: damage.bytes)
        }
        let prompt = #"{"chunks": [[5, 6, 7, 8], [1, 2]], "question": [3], "mode": "realign"}"#
        try Data(prompt.utf8).write(to: URL(fileURLWithPath: place.path + "/prompt.json"))
        // One of a chunk that is there or is not, by what `ls` says.
        let listed = try place.run(["ls", "--json"]).json["variants"] as? [[String: Any]]
        let key = listed?.first?["key"] as? String ?? "00"
        let requests = ["put", "use"].enumerated().map { second, event in
            "{\"event\":\"\(event)\",\"namespace\":\"61636d65\",\"key\":\"\(key)\","
                + "\"variant\":\"0000000000000000\",\"bytes\":4096,\"seconds\":\(second)}\n"
        }
        try Data(requests.joined().utf8).write(
            to: URL(fileURLWithPath: place.path + "/requests.jsonl"))
        let before = try place.contents()
        // A day that does not pass.
        let day: UInt64 = 1_800_000_000
        for isJSON in [false, true] {
            var text = ""
            for words in Self.questions {
                let asked = words.map {
                    $0.replacing("KEY", with: key).replacing("PLACE", with: place.path)
                        .replacing("FORM", with: isJSON ? "json" : "text")
                }
                let outcome = place.run(
                    asked + (isJSON ? ["--json"] : []),
                    clock: SteppingClock(stepNanoseconds: 1, wallSeconds: day))
                if isJSON { #expect(throws: Never.self, "\(words)") { _ = try outcome.json } }
                text += "$ chunkdb \(words.joined(separator: " "))\n" + outcome.output
                if !outcome.errors.isEmpty { text += "--- errors\n" + outcome.errors }
                text += "--- exit \(outcome.exit.rawValue)\n\n"
            }
            try Snapshot.compare(
                Outcome(exit: .fine, output: text, errors: ""),
                store.name + (isJSON ? "-json" : ""), in: place)
        }
        #expect(try place.contents() == before)
        // What a file system allocates is its own affair.
        #expect(place.run(["space"]).exit == .fine)
        let report = place.run(["report", "-o", place.path + "/report.html"])
        #expect(report.exit == (store.damage.isEmpty ? .fine : .damageFound))
    }
}
