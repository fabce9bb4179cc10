import ChunkFormat
import Primitives
import Synchronization
import Testing

/// Every decoder on damaged goldens: a value or a typed error, never a trap (a trap ends the run),
/// and what decodes means the same after it was encoded and decoded again.
@Suite struct FuzzTests {
    static let names = FuzzTarget.all.map(\.name)

    /// Decodes; when that succeeds, what was found must survive encoding. True when it decoded.
    @discardableResult
    static func decodes(_ bytes: [UInt8], _ target: FuzzTarget, _ what: String) -> Bool {
        let (isDecoded, complaint) = target.examine(bytes)
        if let complaint { Issue.record("\(target): \(what): \(complaint)") }
        return isDecoded
    }

    @Test("the goldens decode, and encode to themselves", arguments: names)
    func whole(_ name: String) throws {
        let target = FuzzTarget.named(name)
        #expect(!target.bytes.isEmpty)
        #expect(try target.decode(target.bytes) == target.bytes)
    }

    @Test("FMT-1 FMT-10 every truncation is refused", arguments: names)
    func truncations(_ name: String) {
        let target = FuzzTarget.named(name)
        for count in 0..<target.bytes.count {
            let isWhole = Self.decodes(Array(target.bytes.prefix(count)), target, "\(count) bytes")
            #expect(!isWhole, "\(name): decodes from \(count) bytes")
        }
    }

    /// All bits of what means something, one bit of every other byte.
    @Test("REC-5 SUP-2 MED-10 a flipped bit under a seal is refused", arguments: names)
    func bitFlips(_ name: String) {
        let target = FuzzTarget.named(name)
        var generator = SeededGenerator(seed: 1)
        var bytes = target.bytes
        let isSealed = target.seal != nil
        for index in bytes.indices {
            let isPlain = bytes[index] == 0 && index > 512 && index < bytes.count - 16
            let bits =
                isPlain && FuzzTarget.factor < 20
                ? [Int.random(in: 0..<8, using: &generator)] : Array(0..<8)
            if isPlain && FuzzTarget.factor < 20 && index % 8 != 0 { continue }
            for bit in bits {
                bytes[index] ^= 1 << bit
                let decoded = Self.decodes(bytes, target, "bit \(bit) of byte \(index)")
                if isSealed { #expect(!decoded, "\(name): bit \(bit) of byte \(index)") }
                bytes[index] ^= 1 << bit
            }
        }
    }

    @Test("FMT-4 FMT-10 hostile values behind a good seal", arguments: names)
    func hostileValues(_ name: String) {
        let target = FuzzTarget.named(name)
        let extremes: [UInt64] = [
            0, 1, 2, 3, 63, 255, 4_095, 4_096, 65_535, 1 << 20, 1 << 24, (1 << 26) + 1, 1 << 31,
            (1 << 32) - 1, 1 << 32, (1 << 32) + 4_096, 1 << 63, .max - 4_095, .max,
        ]
        for (layout, base) in target.layouts {
            for field in layout.fields {
                for value in extremes {
                    var bytes = target.bytes
                    for index in 0..<min(field.type.byteCount, 8) {
                        let at = base + field.offset + index
                        bytes[at] = UInt8(truncatingIfNeeded: value >> (index * 8))
                    }
                    Self.decodes(
                        target.repaired(bytes), target, "\(layout.name).\(field.name) = \(value)")
                }
            }
        }
    }

    @Test("FMT-10 the kept corpus: a value or a typed error", arguments: names)
    func corpus(_ name: String) {
        let target = FuzzTarget.named(name)
        for (file, bytes) in target.kept {
            for bytes in [bytes, target.repaired(bytes)] {
                Self.decodes(bytes, target, "corpus \(file)")
                #expect(target.annotate(bytes).lines.count < 20_000, "\(name): \(file)")
            }
        }
    }

    @Test func theCorpusIsThere() {
        #expect(FuzzTarget.all.contains { !$0.kept.isEmpty })
    }

    /// Of all targets together; `randomDamage` alone does as many.
    static let mutationCountMin = 20_000
    private static let done = Mutex((targetCount: 0, mutationCount: 0))

    @Test("FMT-4 FMT-10 random damage behind a good seal", arguments: names)
    func randomDamage(_ name: String) {
        let target = FuzzTarget.named(name)
        var generator = SeededGenerator(seed: 77)
        let starts = [target.bytes] + target.kept.map(\.bytes).filter { !$0.isEmpty }
        let roundCount = (Self.mutationCountMin / Self.names.count + 1) * FuzzTarget.factor
        for round in 0..<roundCount {
            var bytes =
                round.isMultiple(of: 2) ? target.bytes : starts.randomElement(using: &generator)!
            let reach = min(bytes.count, 640)
            for _ in 0...Int.random(in: 0..<4, using: &generator) {
                let at = Int.random(in: 0..<reach, using: &generator)
                bytes[at] = [0, 1, 0x7F, 0x80, 0xFF, UInt8.random(in: 0...255, using: &generator)]
                    .randomElement(using: &generator)!
            }
            if target.seal == nil, Bool.random(using: &generator) {
                bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator))
            }
            Self.decodes(target.repaired(bytes), target, "round \(round)")
        }
        let (targetCount, mutationCount) = Self.done.withLock { done in
            done.targetCount += 1
            done.mutationCount += roundCount
            return done
        }
        if targetCount == Self.names.count {
            print("FUZZ: \(mutationCount) mutations over \(targetCount) decoders")
            #expect(mutationCount >= Self.mutationCountMin)
        }
    }

    @Test("FMT-10 noise of any length", arguments: names)
    func noise(_ name: String) {
        let target = FuzzTarget.named(name)
        var generator = SeededGenerator(seed: 78)
        for _ in 0..<100 * FuzzTarget.factor {
            let count = Int.random(in: 0...9_000, using: &generator)
            let word = generator.next()
            var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: word), count: count)
            for index in bytes.indices.prefix(300) {
                bytes[index] = UInt8.random(in: 0...255, using: &generator)
            }
            Self.decodes(bytes, target, "noise")
        }
    }
}
