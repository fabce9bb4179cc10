import ChunkFormat
import Foundation
import Primitives

// One examination for the tests and for libFuzzer (`LibFuzzer/`), which share this file, the
// targets, and the corpus: `Corpus/DECODER/` holds structures as they are given to that decoder.

extension FuzzTarget {
    /// What is wrong with how these bytes were taken: nothing, when they are refused with a typed
    /// error or when what they mean survives being encoded.
    func examine(_ bytes: [UInt8]) -> (isDecoded: Bool, complaint: String?) {
        let found: [UInt8]
        do throws(FormatError) {
            found = try decode(bytes)
        } catch {
            let isMute = error.clause.isEmpty || error.structure.isEmpty
            return (false, isMute ? "an error that says neither clause nor structure" : nil)
        }
        do throws(FormatError) {
            let again = try decode(found)
            return (true, again == found ? nil : "another value after encoding")
        } catch {
            return (true, "what was decoded does not decode again: \(error)")
        }
    }

    /// The annotator over the same bytes; it must come to an end.
    func annotate(_ bytes: [UInt8]) -> Annotator {
        var annotator = Annotator(secret: Self.secret, rowCountMax: 64)
        let place = RecordLocation(segment: SegmentID(0), offset: .max - 4_096)
        annotator.headerRegion(bytes, at: place, key: Self.recordKey)
        annotator.metadata(bytes, base: .max - 100)
        annotator.namespaceOperation(bytes)
        for layout in AllLayouts.all { annotator.structure(layout, bytes, base: .max) }
        return annotator
    }

    static let corpus = golden.deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Tests/FuzzTests/Corpus")

    /// The kept structures of this decoder, by name.
    var kept: [(name: String, bytes: [UInt8])] {
        let folder = Self.corpus.appendingPathComponent(name)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.sorted().map {
            ($0, [UInt8]((try? Data(contentsOf: folder.appendingPathComponent($0))) ?? Data()))
        }
    }
}

/// What libFuzzer mutates: a byte that picks the decoder and what is done, then the structure.
struct FuzzInput {
    static let repairs: UInt8 = 0x80
    static let annotates: UInt8 = 0x40

    let target: FuzzTarget
    let bytes: [UInt8]
    let flags: UInt8

    init?(_ input: [UInt8]) {
        guard let first = input.first else { return nil }
        let all = FuzzTarget.all
        target = all[Int(first & 0x3F) % all.count]
        flags = first & 0xC0
        let rest = Array(input.dropFirst())
        bytes = flags & Self.repairs != 0 ? target.repaired(rest) : rest
    }

    static func coded(targetIndex: Int, flags: UInt8, _ bytes: [UInt8]) -> [UInt8] {
        [UInt8(targetIndex) | flags] + bytes
    }

    var complaint: String? {
        if flags & Self.annotates != 0, target.annotate(bytes).lines.count >= 20_000 {
            return "the annotator does not come to an end"
        }
        return target.examine(bytes).complaint
    }
}
