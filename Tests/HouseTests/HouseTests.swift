// The house rules that a machine can check (HOUSE.md, "Shape").

import Foundation
import Testing

@Suite("The house")
struct HouseTests {
    static let swiftFiles =
        House.files("Sources") + House.files("Tests")
        + House.files("Benchmarks/Sources")

    @Test("has no line over a hundred columns")
    func lineLength() {
        for file in Self.swiftFiles {
            for (index, line) in file.lines.enumerated() where line.count > 100 {
                Issue.record("\(file.path):\(index + 1) has \(line.count) columns")
            }
        }
    }

    @Test("has no source file of more than 400 lines")
    func fileLength() {
        for file in House.files("Sources") where file.lines.count > 400 {
            Issue.record(
                "\(file.path) has \(file.lines.count) lines: which second subject moved in?")
        }
    }

    @Test("keeps the root to six names and dotfiles")
    func root() throws {
        let allowed: Set = [
            "Package.swift", "Sources", "Tests", "Benchmarks", "format-spec", "README.md",
            "LICENSE",
        ]
        let names = try FileManager.default.contentsOfDirectory(atPath: House.root.path)
            // SwiftPM writes it beside the manifest; it is ignored, never committed.
            .filter { !$0.hasPrefix(".") && $0 != "Package.resolved" }
        #expect(Set(names).subtracting(allowed) == [])
    }

    /// Arrows point down only. What a module may import of the house.
    static let mayImport: [String: Set<String>] = [
        "Primitives": ["CXXHash"],
        "KVModel": ["Primitives"],
        "BSkiplist": ["CShims", "Primitives"],
        "BlockIO": ["Primitives", "CLiburing", "CSystemCalls"],
        "ChunkFormat": ["Primitives", "KVModel"],
        "Codecs": ["KVModel", "CLZ4", "CShims"],
        "SegmentLog": ["Primitives", "ChunkFormat", "BlockIO", "KVModel"],
        "ChunkDB": [
            "Primitives", "KVModel", "BSkiplist", "BlockIO", "ChunkFormat", "Codecs", "SegmentLog",
            "Retention",
        ],
        "Retention": ["ChunkFormat", "Primitives"],
        "Attention": ["KVModel", "Primitives"],
        "Fusion": ["Primitives", "KVModel"],
        "Feed": ["ChunkDB", "KVModel", "BlockIO", "ChunkFormat", "Primitives"],
        "DeviceFeed": [
            "Feed", "ChunkDB", "BlockIO", "ChunkFormat", "KVModel", "Primitives", "CDeviceDriver",
        ],
        "AttentionFeed": [
            "Feed", "Attention", "ChunkDB", "Fusion", "ChunkFormat", "KVModel", "Primitives",
        ],
    ]
    static let foreign: Set = [
        "Foundation", "Glibc", "Dispatch", "Synchronization", "Crypto", "Logging",
    ]

    @Test("imports downwards only", arguments: mayImport.keys.sorted())
    func imports(module: String) {
        let allowed = Self.mayImport[module]!.union(Self.foreign)
        let files = House.files("Sources/\(module)", suffixes: [".swift"])
        #expect(!files.isEmpty)
        for file in files {
            let surprising = Set(House.imports(file)).subtracting(allowed)
            #expect(surprising.isEmpty, "\(file.path) imports \(surprising.sorted())")
        }
    }

    @Test("never maps a store's file into memory, and never forces a try in decoders or the log")
    func bannedCalls() {
        for file in House.files("Sources/ChunkFormat") + House.files("Sources/SegmentLog") {
            for (index, line) in file.lines.enumerated() {
                for banned in ["try!", "as!", "fatalError(", "mmap("] where line.contains(banned) {
                    Issue.record("\(file.path):\(index + 1) has \(banned)")
                }
            }
        }
    }

    @Test("declares every use of unsafe code in the ledger")
    func unsafeLedger() throws {
        var counts: [String] = []
        for file in House.files("Sources", suffixes: [".swift"]) {
            let uses = file.lines.reduce(0) { sum, line in
                let code = line.split(
                    separator: "//", maxSplits: 1, omittingEmptySubsequences: false)[0]
                return sum
                    + code.split { !$0.isLetter && $0 != "@" }.count {
                        $0 == "unsafe" || $0 == "@unchecked"
                    }
            }
            if uses > 0 { counts.append("\(file.path) \(uses)") }
        }
        let ledger = House.root.appending(path: "Tests/HouseTests/unsafe-ledger.txt")
        let text = counts.joined(separator: "\n") + "\n"
        if ProcessInfo.processInfo.environment["CHUNKDB_RECORD_LEDGER"] == "1" {
            try text.write(to: ledger, atomically: true, encoding: .utf8)
        }
        let recorded = try String(contentsOf: ledger, encoding: .utf8)
        let grown = Set(counts).subtracting(recorded.split(separator: "\n").map(String.init))
        #expect(
            recorded == text,
            "run with CHUNKDB_RECORD_LEDGER=1 and read the difference: \(grown.sorted())")
    }
}
