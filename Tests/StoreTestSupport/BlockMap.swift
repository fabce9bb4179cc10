/// The bytes of a file, kept only where something was written. Copies share their blocks.
struct BlockMap: Sendable {
    static let blockBytes = 4_096
    private static let zeros = [UInt8](repeating: 0, count: blockBytes)
    private var blocks: [Int: [UInt8]] = [:]

    var blockCount: Int { blocks.count }

    func bytes(at offset: Int, count: Int) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count)
        Self.forEachBlock(offset, count) { index, range, _ in
            result += (blocks[index] ?? Self.zeros)[range]
        }
        return result
    }

    mutating func write(_ bytes: ArraySlice<UInt8>, at offset: Int) {
        var blocks = self.blocks
        self.blocks = [:]
        Self.forEachBlock(offset, bytes.count) { index, range, done in
            let start = bytes.startIndex + done
            let part = bytes[start..<start + range.count]
            if range.count == Self.blockBytes {
                blocks[index] = Array(part)
            } else {
                blocks[index, default: Self.zeros].replaceSubrange(range, with: part)
            }
        }
        self.blocks = blocks
    }

    /// Forgets everything from `byteCount` on; it reads as zeros if the file grows again.
    mutating func truncate(to byteCount: Int) {
        let last = byteCount / Self.blockBytes
        blocks = blocks.filter { $0.key <= last }
        let kept = byteCount % Self.blockBytes
        if blocks[last] != nil {
            blocks[last]!.replaceSubrange(kept..., with: Self.zeros[kept...])
        }
    }

    /// Calls with the block's index, the range inside it, and the bytes that came before.
    private static func forEachBlock(
        _ offset: Int, _ count: Int, _ body: (Int, Range<Int>, Int) -> Void
    ) {
        var done = 0
        while done < count {
            let position = offset + done
            let start = position % blockBytes
            let length = min(blockBytes - start, count - done)
            body(position / blockBytes, start..<start + length, done)
            done += length
        }
    }
}
