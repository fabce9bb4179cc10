// S-7, S-8, S-20: what the sources must not contain, read from the sources.

import Foundation
import Testing

@Suite("S-7 S-8 S-20: gates over the sources")
struct GateTests {
    static let sources = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Sources")

    /// Code lines, comments left out, of Swift and C.
    static let lines: [(file: String, number: Int, code: Substring)] = {
        let names = FileManager.default.enumerator(atPath: sources.path)?.compactMap {
            $0 as? String
        }
        return (names ?? []).filter { [".swift", ".c", ".h"].contains(where: $0.hasSuffix) }
            .sorted()
            .flatMap { name in
                let text = try? String(contentsOf: sources.appending(path: name), encoding: .utf8)
                return (text ?? "").split(separator: "\n", omittingEmptySubsequences: false)
                    .enumerated().map { index, line in
                        let code = line.split(
                            separator: "//", maxSplits: 1, omittingEmptySubsequences: false)[0]
                        return (name, index + 1, code)
                    }
            }
    }()

    private func expectNone(_ words: [String], except allowed: Set<String> = []) {
        #expect(Self.lines.count > 10_000, "the sources were found")
        for (file, number, code) in Self.lines where !allowed.contains(file) {
            for word in words where code.contains(word) {
                Issue.record("\(file):\(number) has \(word)")
            }
        }
    }

    @Test("S-20 nothing maps a file: the one mapping is the index's anonymous memory")
    func noMapping() {
        expectNone(
            ["mmap(", "mappedIfSafe", "alwaysMapped", ".mappedRead"],
            except: ["BSkiplist/NodePool+Unsafe.swift"])
        let pool = Self.lines.filter { $0.file == "BSkiplist/NodePool+Unsafe.swift" }
        #expect(pool.contains { $0.code.contains("MAP_ANONYMOUS") })
    }

    @Test("S-8 no archiver, no evaluator, no code found by name touches stored bytes")
    func noArchivers() {
        expectNone([
            "NSKeyedUnarchiver", "NSUnarchiver", "PropertyListDecoder", "NSCoding",
            "NSClassFromString", "_typeByName", "JSContext", "Mirror(reflecting",
            "NSExpression", "system(", "popen(",
        ])
        // The shell's line editing and a GPU's driver, by names that stand in the source.
        let editor = "chunkdb/Interactive/LineEditor+Unsafe.swift"
        let driver = "DeviceFeed/DriverLibrary+Unsafe.swift"
        expectNone(["dlopen(", "dlsym("], except: [editor, driver])
        let loads = Self.lines.filter { $0.code.contains("dlopen(") }
        #expect(loads.map(\.code).allSatisfy { $0.contains("dlopen(name, RTLD_NOW") })
        #expect(loads.map(\.file).sorted() == [driver, editor].sorted())
        #expect(Self.lines.contains { $0.file == editor && $0.code.contains("[\"libedit.so.2\",") })
        let opened = Self.lines.filter { $0.code.contains("DriverLibrary.open(") }
        #expect(!opened.isEmpty)
        #expect(opened.allSatisfy { $0.code.contains("DriverLibrary.open(\"lib") })
    }

    /// The bombs themselves are in `BombTests`.
    @Test("S-7 one decompressor, and of it only the entry that is told where to stop")
    func oneDecompressor() {
        let decoder = "Codecs/BytePlanes+Decode+Unsafe.swift"
        expectNone(["import Compression", "inflate(", "LZ4F_", "LZ4_decompress_fast"])
        expectNone(["LZ4_decompress"], except: [decoder])
        expectNone(
            ["import CLZ4"], except: [decoder, "Codecs/BytePlanes+Encode+Unsafe.swift"])
        let calls = Self.lines.filter { $0.code.contains("LZ4_decompress") }
        #expect(calls.count == 1 && calls[0].code.contains("LZ4_decompress_safe("))
    }
}
