import ChunkFormat
import Foundation
import Primitives
import Testing

/// The annotator speaks of damaged bytes too, and its output is bounded by what it is given.
@Suite struct AnnotatorFuzzTests {
    static func annotate(_ name: String, _ bytes: [UInt8]) -> Annotator {
        var annotator = Annotator(secret: FuzzTarget.secret, rowCountMax: 64)
        let source = Annotator.source(bytes)
        let count = UInt64(bytes.count)
        switch name {
        case "superblock": annotator.superblockFile(source)
        case "journal-0": annotator.journalFile(source, fileBytes: count, copyIndex: 0)
        case "checkpoint": annotator.checkpointFile(source, fileBytes: count)
        case "heat": annotator.heatFile(source, fileBytes: count)
        default: annotator.segmentFile(source, segment: SegmentID(0))
        }
        return annotator
    }

    static let files = ["superblock", "journal-0", "checkpoint", "heat", "segments/00000000"]

    static func read(_ name: String) -> [UInt8] {
        let file = FuzzTarget.golden.appendingPathComponent("small-store/\(name)")
        return [UInt8]((try? Data(contentsOf: file)) ?? Data())
    }

    @Test("FMT-10 damaged and cut files are annotated as far as they go", arguments: files)
    func damagedFiles(_ name: String) {
        let whole = Self.read(name)
        #expect(!whole.isEmpty && !Self.annotate(name, whole).text.contains("✗"))
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<6 * FuzzTarget.factor {
            var bytes = Array(whole.prefix(Int.random(in: 0...whole.count, using: &generator)))
            for _ in 0..<20 where !bytes.isEmpty {
                let at = Int.random(in: 0..<min(bytes.count, 20_000), using: &generator)
                bytes[at] = UInt8.random(in: 0...255, using: &generator)
            }
            #expect(Self.annotate(name, bytes).lines.count < 20_000)
        }
    }

    @Test("FMT-10 damaged records and streams are annotated", arguments: FuzzTarget.all.map(\.name))
    func damagedStructures(_ name: String) {
        let target = FuzzTarget.named(name)
        var generator = SeededGenerator(seed: 6)
        for _ in 0..<40 * FuzzTarget.factor {
            var bytes = target.bytes
            for _ in 0..<3 {
                bytes[Int.random(in: 0..<min(bytes.count, 400), using: &generator)] =
                    UInt8.random(in: 0...255, using: &generator)
            }
            #expect(target.annotate(bytes).lines.count < 20_000)
        }
    }
}
