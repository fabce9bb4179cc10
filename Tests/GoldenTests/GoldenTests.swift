import ChunkFormat
import Primitives
import Testing

/// Bytes and what they say, both ways: the described value encodes to the committed bytes, and the
/// committed bytes annotate to the committed text. `CHUNKDB_RECORD_GOLDENS=1` writes them anew.
@Suite struct GoldenTests {
    @Test("FMT-2 every structure's golden pair", arguments: GoldenStructure.all.map(\.name))
    func pair(_ name: String) throws {
        let golden = GoldenStructure.all.first { $0.name == name }!
        var annotator = Annotator(secret: GoldenStore.secret)
        golden.annotate(&annotator, golden.bytes)
        if GoldenFiles.isRecording {
            try GoldenFiles.write(golden.bytes, name + ".bin")
            try GoldenFiles.write(Array(annotator.text.utf8), name + ".txt")
        }
        let bytes = try GoldenFiles.read(name + ".bin")
        #expect(bytes == golden.bytes, "encoding \(name) gives other bytes")
        var again = Annotator(secret: GoldenStore.secret)
        golden.annotate(&again, bytes)
        let text = String(decoding: try GoldenFiles.read(name + ".txt"), as: UTF8.self)
        #expect(again.text == text, "annotating \(name) gives another text")
        #expect(!text.contains("✗"), "a golden is whole")
    }

    @Test("every file of the golden store", arguments: GoldenStore.files.map(\.name))
    func storeFile(_ name: String) throws {
        let encoded = GoldenStore.files.first { $0.name == name }!.bytes
        let plain = name.replacing("/", with: "-")
        if GoldenFiles.isRecording {
            try GoldenFiles.write(encoded, "small-store/\(name)")
            try GoldenFiles.write(
                Array(GoldenStore.annotation(name, encoded).utf8), "small-store.\(plain).txt")
        }
        let bytes = try GoldenFiles.read("small-store/\(name)")
        #expect(bytes == encoded)
        let text = String(
            decoding: try GoldenFiles.read("small-store.\(plain).txt"), as: UTF8.self)
        #expect(GoldenStore.annotation(name, bytes) == text)
        #expect(!text.contains("✗"))
    }
}
