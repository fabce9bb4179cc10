// `import --raw`: a chunk as LMCache's local disk holds it becomes the same planes here, and what
// does not fit its model does not get in.

import ChunkDB
import Foundation
import KVModel
import Primitives
import Testing

@testable import chunkdb

@Suite("Raw chunks of another cache")
struct RawImportTests {
    /// [2, layers, tokens, hidden]: all keys, then all values.
    private func raw(_ owner: UInt32) -> [UInt8] {
        [true, false].flatMap { isKeys in
            (0..<3).flatMap { plane(owner, layer: $0, isKeys: isKeys) }
        }
    }

    private func write(_ owner: UInt32, as name: String, in place: Place) throws
        -> (file: String, tokens: String)
    {
        let file = "\(place.path)/\(name)"
        let ids = "\(place.path)/\(owner).json"
        try Data(raw(owner)).write(to: URL(fileURLWithPath: file))
        try Data("\(tokens(owner))".utf8).write(to: URL(fileURLWithPath: ids))
        return (file, ids)
    }

    @Test("come back as the planes they were, alone or behind others")
    func stored() throws {
        let place = try Place()
        try place.makeStore()
        let (file, ids) = try write(21, as: "tiny@1@0@deadbeef@float.pt", in: place)
        let words = ["import", file, "--raw", "--namespace", "acme", "--tokens", ids]
        let before = try place.contents()
        let dry = place.run(words + ["--dry-run"])
        #expect(dry.exit == .fine && dry.output == "1 variant not done\n", "\(dry.errors)")
        #expect(dry.errors.contains("\(key(21))"))
        #expect(place.run(words).exit == .usage, "nobody said yes")
        #expect(try place.contents() == before)
        #expect(place.run(words + ["--yes"]).output == "1 variant stored\n")
        #expect(place.run(words + ["--yes"]).output == "1 variant there already\n")
        let behind = ["--behind", "\(key(1))", "--position", "16"]
        let variant = try place.run(words + behind + ["--yes", "--json"]).json
        let files = try #require(variant["files"] as? [[String: Any]])
        let context = PrefixContext(prefix: [key(1)], basePosition: 16)
        #expect(files.first?["variant"] as? String == "\(context.variantID)")
        #expect(place.run(["verify"]).exit == .fine)
        for id in [VariantID.standalone, context.variantID] {
            let output = "\(place.path)/\(id)"
            let words = ["export", "\(key(21))", output, "--variant", "\(id)"]
            #expect(place.run(words).exit == .fine)
            let bytes = [UInt8](try #require(FileManager.default.contents(atPath: output)))
            let found = try Safetensors(parsing: bytes.span)
            for layer in 0..<3 {
                for (letter, isKeys) in [("k", true), ("v", false)] {
                    let tensor = try #require(found["layers.\(layer).\(letter)"])
                    #expect(
                        Array(bytes[tensor.fileRange]) == plane(21, layer: layer, isKeys: isKeys))
                }
            }
        }
    }

    @Test("are written too, and what was written comes back")
    func exported() throws {
        let place = try Place()
        try place.makeStore()
        let file = place.path + "/raw"
        let words = ["export", "\(key(2))", file, "--raw", "--tokens"]
        let report = try place.run(words + ["--json"]).json
        let tensor = try #require((report["tensors"] as? [[String: Any]])?.first)
        #expect(tensor["shape"] as? [Int] == [2, 3, 16, 64])
        #expect(FileManager.default.contents(atPath: file).map { [UInt8]($0) } == raw(2))
        let ids = try #require(FileManager.default.contents(atPath: file + ".json"))
        #expect(try JSONDecoder().decode([UInt32].self, from: ids) == tokens(2))
        for name in [file, file + ".json"] {
            let mode = try FileManager.default.attributesOfItem(atPath: name)[.posixPermissions]
            #expect((mode as? NSNumber)?.intValue == 0o600)
        }
        #expect(place.run(["rm", "\(key(2))", "--yes"]).exit == .fine)
        let back = ["import", file, "--raw", "--namespace", "acme", "--tokens", file + ".json"]
        #expect(place.run(back + ["--yes"]).output == "1 variant stored\n")
        let again = place.path + "/again"
        #expect(place.run(["export", "\(key(2))", again, "--raw"]).exit == .fine)
        #expect(FileManager.default.contents(atPath: again).map { [UInt8]($0) } == raw(2))
        #expect(!FileManager.default.fileExists(atPath: again + ".json"), "nobody asked for ids")
        // Nothing half: neither file when one cannot be made.
        try FileManager.default.removeItem(atPath: again)
        #expect(place.run(words.map { $0 == file ? again : $0 }).exit == .fine)
        try FileManager.default.removeItem(atPath: again + ".json")
        #expect(place.run(words.map { $0 == file ? again : $0 }).exit == .cannotWrite)
        #expect(!FileManager.default.fileExists(atPath: again + ".json"))
    }

    @Test("are refused where they do not fit, with the reason, and nothing is stored")
    func refusals() throws {
        let place = try Place()
        try place.makeStore()
        let (file, ids) = try write(22, as: "chunk.pt", in: place)
        let before = try place.contents()
        func refused(
            _ file: String, _ more: [String] = [], tokens: String? = nil, space: String = "acme"
        ) -> Outcome {
            place.run(
                ["import", file, "--raw", "--namespace", space, "--tokens", tokens ?? ids, "--yes"]
                    + more)
        }
        func made(_ name: String, _ bytes: [UInt8]) throws -> String {
            let path = "\(place.path)/\(name)"
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            return path
        }
        let cases: [(Outcome, ShellExit, String)] = [
            (refused(try made("short", Array(raw(22).dropLast()))), .usage, "24575 bytes"),
            (refused(try made("long", raw(22) + [0])), .usage, "take 24576"),
            (refused(try made("empty", [])), .usage, "0 bytes"),
            (
                refused(try made("torch", [0x50, 0x4B, 3, 4] + raw(22).dropFirst(4))), .usage,
                "torch.save"
            ),
            (refused(file, space: "wide"), .usage, "8 layers"),
            (refused(file, space: "nobody\u{1B}"), .notFound, "does not say what model"),
            (refused("/nonexistent"), .cannotOpen, "that can be read"),
            (refused(file, tokens: "/nonexistent"), .cannotOpen, "cannot be read"),
            (refused(file, tokens: try made("ids", Array("[1, -2]".utf8))), .usage, "JSON list"),
            (refused(file, tokens: try made("none", Array("[]".utf8))), .usage, "JSON list"),
            (refused(file, ["--position", "16"]), .usage, "go together"),
            (refused(file, ["--behind", "\(key(1))"]), .usage, "go together"),
            (refused(file, ["--behind", "ab", "--position", "3"]), .usage, "64 hexadecimal"),
            (refused(try made("m@2@1@ab@float.pt", raw(22))), .usage, "shard 1 of 2"),
            (refused(try made("m@1@0@ab@bfloat16.pt", raw(22))), .usage, "element type bf16"),
            (place.run(["import", file, "--raw", "--yes"]), .usage, "--raw takes one file"),
            (place.run(["import", file, "--tokens", ids, "--yes"]), .usage, "are for --raw"),
        ]
        for (outcome, exit, text) in cases {
            #expect(outcome.exit == exit && outcome.errors.contains(text), "\(outcome.errors)")
            #expect(!outcome.errors.contains("\u{1B}"))
        }
        #expect(try place.contents() == before)
    }
}
