// The container: what is written is read, and nothing hostile gets further than a typed error.

import KVModel
import Primitives
import Testing

@testable import Attention

@Suite("Safetensors")
struct SafetensorsTests {
    private func file(_ header: String, data: Int = 0) -> [UInt8] {
        let length = UInt64(header.utf8.count)
        return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + Array(header.utf8)
            + [UInt8](repeating: 7, count: data)
    }

    private func reason(_ bytes: [UInt8]) -> String? {
        do throws(SafetensorsError) {
            _ = try Safetensors(parsing: bytes.span)
            return nil
        } catch {
            #expect(error.offset <= bytes.count)
            return error.description
        }
    }

    @Test("written and read again")
    func roundTrip() throws {
        let header = Safetensors.header(
            tensors: [
                ("K", .float16, [2, 3]), ("quote \" \\ \n ä", .bfloat16, []),
                ("nothing", .float32, [0, 5]), ("V", .float32, [1]),
            ],
            metadata: [("key", "a\tb"), ("other", "")])
        #expect(header.count.isMultiple(of: 8))
        let bytes = header + [UInt8](repeating: 1, count: 12 + 2 + 4)
        let contents = try Safetensors(parsing: bytes.span)
        #expect(contents["K"]?.fileRange == header.count..<header.count + 12)
        #expect(contents["K"]?.shape == [2, 3])
        #expect(contents["quote \" \\ \n ä"]?.elementType == .bfloat16)
        #expect(contents["nothing"]?.fileRange.isEmpty == true)
        #expect(contents["V"]?.elementCount == 1)
        #expect(contents["W"] == nil)
        #expect(contents.metadata.map(\.name) == ["key", "other"])
        #expect(contents.metadata[0].value == "a\tb")
        let start = bytes.span.extracting(first: header.count)
        let again = try Safetensors(parsing: start, fileByteCount: bytes.count)
        #expect(again.tensors == contents.tensors)
        for type in ElementType.allCases {
            let one = Safetensors.header(tensors: [("x", type, [3])])
            let bytes = one + [UInt8](repeating: 0, count: 3 * type.byteCount)
            #expect(try Safetensors(parsing: bytes.span)["x"]?.elementType == type)
        }
    }

    @Test("escapes as other writers make them")
    func escapes() throws {
        let bytes = file(
            #"{ "\u0041\ud83d\ude00\/" : {"shape":[ ],"dtype":"F32","data_offsets":[0 , 4]} }  "#,
            data: 4)
        #expect(try Safetensors(parsing: bytes.span).tensors[0].name == "A😀/")
    }

    @Test("every truncation of a good file")
    func truncations() {
        let good = Safetensors.header(tensors: [("K", .float32, [2]), ("V", .float32, [2])])
            + [UInt8](repeating: 0, count: 16)
        #expect(reason(good) == nil)
        for length in 0..<good.count { #expect(reason(Array(good[..<length])) != nil) }
        #expect(reason(good + [0]) != nil)
    }

    @Test("hostile lengths")
    func lengths() {
        for length: UInt64 in [1, 3, 1_000, 100_000_001, 1 << 32, 1 << 63, .max, .max - 7] {
            let word = (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) }
            #expect(reason(word + Array("{}".utf8)) != nil)
        }
    }

    @Test(
        "hostile headers",
        arguments: [
            (#""#, "due here"), (#"[]"#, "due here"), (#"{"#, "due here"),
            (#"{}x"#, "after the header"), (#"{"a"}"#, "due here"),
            (#"{"a":1}"#, "due here"), (#"{"a":{}}"#, "needs dtype"),
            (#"{"a":{"dtype":"F32","shape":[1]}}"#, "needs dtype"),
            (#"{"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}"#, "F64"),
            (#"{"a":{"dtype":4,"shape":[],"data_offsets":[0,8]}}"#, "due here"),
            (#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}"#, "whole number"),
            (#"{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,8]}}"#, "due here"),
            (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,7]}}"#, "7"),
            (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, "leave"),
            (#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#, "leave"),
            (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,9]}}"#, "more than 2"),
            (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8]}}"#, "two data_offsets"),
            (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, "gap"),
            (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, "no tensor"),
            (#"{}"#, "no tensor"),
            (
                #"{"a":{"dtype":"F32","shape":[9223372036854775807,4],"data_offsets":[0,8]}}"#,
                "overflows"
            ),
            (
                #"{"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]}}"#,
                "too large"
            ),
            (
                #"{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]}}"#,
                "more than 8"
            ),
            (
                #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"#
                    + #""b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, "overlaps"
            ),
            (
                #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#
                    + #""a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, "twice"
            ),
            (
                #"{"a":{"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,8]}}"#, "twice"
            ),
            (
                #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}}"#, "unknown"
            ),
            (#"{"__metadata__":{"a":1}}"#, "due here"),
            (#"{"__metadata__":{},"__metadata__":{}}"#, "twice"),
            (#"{"\ud800":{}}"#, "surrogate"), (#"{"\x":{}}"#, "escape"),
            (#"{"\u00g0":{}}"#, "hexadecimal"), (#"{"a"#, "without end"),
            ("{\"a\nb\":{}}", "control"),
        ])
    func headers(header: String, expected: String) {
        let found = reason(file(header, data: 8))
        #expect(found?.contains(expected) == true, "\(found ?? "accepted")")
    }

    @Test("not UTF-8")
    func notText() {
        var bytes = file(#"{"a~":{}}"#)
        bytes[bytes.firstIndex(of: UInt8(ascii: "~"))!] = 0xC0
        #expect(reason(bytes)?.contains("UTF-8") == true)
    }

    @Test("random damage never traps")
    func damage() {
        var generator = SeededGenerator(seed: 77)
        let good = randomWeights(.tiny, seed: 1).prefix(3_000)
        let header = Array(good)
        for _ in 0..<300 {
            var bytes = header
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0..<2_900, using: &generator)
                bytes[place] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = try? Safetensors(parsing: bytes.span, fileByteCount: 40_000)
        }
    }
}
