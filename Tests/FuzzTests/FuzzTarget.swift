import ChunkFormat
import Foundation
import KVModel
import Primitives

/// A golden, how to decode it, and how to seal it again after it was damaged.
struct FuzzTarget: Sendable, CustomStringConvertible {
    struct Seal: Sendable {
        let offset: Int
        let key: SealKey
        let location: [UInt8]
    }

    let name: String
    let bytes: [UInt8]
    let seal: Seal?
    /// Layouts in the structure and where: what mutations aim at.
    let layouts: [(layout: Layout, base: Int)]
    /// Decodes, and encodes what it found. Never anything but a value or a `FormatError`.
    let decode: @Sendable ([UInt8]) throws(FormatError) -> [UInt8]

    var description: String { name }

    /// The bytes with the seal, and in a payload record the metadata's digest, made right.
    func repaired(_ damaged: [UInt8]) -> [UInt8] {
        guard let seal, damaged.count >= seal.offset + 16 else { return damaged }
        var bytes = damaged
        if layouts.contains(where: { $0.layout.name == "payloadHeader" }) {
            repairMetadata(&bytes)
        }
        bytes.replaceSubrange(
            seal.offset..<seal.offset + 16, with: [UInt8](repeating: 0, count: 16))
        let code = seal.key.seal(location: seal.location, bytes: bytes)
        bytes.replaceSubrange(
            seal.offset..<seal.offset + 16,
            with: bigEndianBytes(code.high) + bigEndianBytes(code.low))
        return bytes
    }

    private func repairMetadata(_ bytes: inout [UInt8]) {
        guard bytes.count >= 256 else { return }
        func count(_ at: Int) -> Int {
            (0..<4).reduce(0) { $0 | Int(bytes[at + $1]) << ($1 * 8) }
        }
        let start = 256 + 48 * (count(160) + count(164)) + 16 * count(168)
        let end = start + count(172)
        guard end <= bytes.count else { return }
        let digest = Digest128(hashing: Array(bytes[start..<end]))
        bytes.replaceSubrange(
            240..<256, with: bigEndianBytes(digest.high) + bigEndianBytes(digest.low))
    }

    static let golden: URL = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("format-spec/golden/v1")

    static func read(_ name: String) -> [UInt8] {
        [UInt8]((try? Data(contentsOf: golden.appendingPathComponent(name + ".bin"))) ?? Data())
    }

    /// How much more than the default to do: `CHUNKDB_FUZZ=20` does 20 times as much.
    static let factor = max(
        1, Int(ProcessInfo.processInfo.environment["CHUNKDB_FUZZ"] ?? "") ?? 1)
}
