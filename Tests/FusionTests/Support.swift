import Fusion
import KVModel
import Primitives

/// Chunk key number n.
func key(_ number: UInt64) -> ChunkKey { ChunkKey(words: (0, 0, 0, number)) }

func share(_ number: UInt64, _ tokenCount: Int, _ interMean: Float) -> PrefixShare {
    PrefixShare(key: key(number), tokenCount: tokenCount, interMean: interMean)
}

func entry(_ number: UInt64, _ tokenCount: Int) -> PrefixEntry {
    PrefixEntry(key: key(number), tokenCount: tokenCount)
}

func isNear(_ left: Double, _ right: Double, _ tolerance: Double = 1e-9) -> Bool {
    (left - right).magnitude <= tolerance
}

extension SeededGenerator {
    mutating func unit() -> Double { Double.random(in: 0...1, using: &self) }
}
