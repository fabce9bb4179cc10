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

    @Test("every file of the small store", arguments: GoldenStore.files.map(\.name))
    func smallStore(_ name: String) throws {
        let encoded = GoldenStore.files.first { $0.name == name }!.bytes
        try compare("small-store", name, encoded) { GoldenStore.annotation(name, $0) }
    }

    @Test("every file of the store that turned over", arguments: TurnedOverStore.files.map(\.name))
    func turnedOverStore(_ name: String) throws {
        let encoded = TurnedOverStore.files.first { $0.name == name }!.bytes
        try compare("turned-over-store", name, encoded) { TurnedOverStore.annotation(name, $0) }
    }

    private func compare(
        _ store: String, _ name: String, _ encoded: [UInt8], annotate: ([UInt8]) -> String
    ) throws {
        let textName = "\(store).\(name.replacing("/", with: "-")).txt"
        if GoldenFiles.isRecording {
            try GoldenFiles.write(encoded, "\(store)/\(name)")
            try GoldenFiles.write(Array(annotate(encoded).utf8), textName)
        }
        let bytes = try GoldenFiles.read("\(store)/\(name)")
        #expect(bytes == encoded)
        let text = String(decoding: try GoldenFiles.read(textName), as: UTF8.self)
        #expect(annotate(bytes) == text)
        #expect(!text.contains("✗"))
    }
}
