import CXXHash
import ChunkFormat
import KVModel
import Primitives
import Testing

/// Expected values were computed by an independent program from format-spec alone (hashlib, hmac).
@Suite struct IdentityTests {
    let binding = ModelBinding(
        name: "any", weightsDigest: [UInt8](repeating: 0xC3, count: 32),
        layers: [LayerGeometry](
            repeating: LayerGeometry(kvHeadCount: 2, headDimension: 4), count: 2),
        elementType: .float32,
        rotary: RotaryEmbedding(
            base: 500_000, dimension: 4,
            scaling: .llama3(
                factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4,
                originalPositionCount: 8_192)))
    let keyA = "853d5bda1471fd6482ca13460f1fe92ee8a005facbb038dc0e303e2c18caffc0"

    @Test("IDY-2 the binding digest, to which name and calibration do not belong")
    func bindingDigest() {
        let expected = "e6c8af0c89bec587836f459be0fe27deb315c6da5cf2d1290237ea0e82b7757a"
        #expect(hexadecimal(binding.digest) == expected)
        var other = binding
        other.name = "another"
        other.calibration = BlendCalibration(checkLayer: 1, tensor: .values)
        #expect(other.digest == binding.digest)
    }

    @Test("IDY-2 every number of YaRN belongs to the binding")
    func yarnDigest() {
        let yarn = YarnScaling(factor: 4, attentionFactor: 1.5, originalPositionCount: 4_096)
        func digest(_ change: (inout YarnScaling) -> Void) -> String {
            var (binding, yarn) = (binding, yarn)
            change(&yarn)
            binding.rotary.scaling = .yarn(yarn)
            return hexadecimal(binding.digest)
        }
        let expected = "52976e7408557f2cc1c14b9359d2e81aeb1f42beca104ad5ccfd3d0d4056ab2e"
        #expect(digest { _ in } == expected)
        let others = [
            digest { $0.factor = 5 }, digest { $0.betaFast = 5 }, digest { $0.betaSlow = 5 },
            digest { $0.attentionFactor = 5 }, digest { $0.originalPositionCount = 5 },
            digest { $0.roundsRamp = false },
        ]
        #expect(Set(others + [expected]).count == 7)
    }

    @Test("PAY-11 the binding digest covers geometry, element type and key form")
    func coverage() {
        let changes: [(inout ModelBinding) -> Void] = [
            { $0.layers[1].kvHeadCount = 4 }, { $0.layers[1].headDimension = 8 },
            { $0.layers[1].windowTokenCount = 16 }, { $0.layers.removeLast() },
            // The same numbers of a row, in another order.
            { $0.layers[1] = LayerGeometry(kvHeadCount: 4, headDimension: 2) },
            { $0.elementType = .bfloat16 }, { $0.keyForm = .beforeRotation },
            { $0.rotary.base = 10_000 }, { $0.rotary.pairing = .interleaved },
            { $0.weightsDigest[31] ^= 1 },
            { ($0.tensorParallelRank, $0.tensorParallelSize) = (1, 2) },
        ]
        let digests = changes.map { change in
            var other = binding
            change(&other)
            return other.digest
        }
        #expect(Set(digests + [binding.digest]).count == changes.count + 1)
    }

    @Test("IDY-3 chunk keys, standalone and chained")
    func chunkKeys() {
        let first = ChunkKey(tokens: [101, 7, 70_000], binding: binding)
        #expect(first.description == keyA)
        let chained = ChunkKey(
            tokens: [5, 6, 7, 8], binding: binding,
            identity: ChunkIdentity(
                domain: .prefixChained, parent: first, adapter: "lora-é", extras: [[], [1, 2]]))
        #expect(
            chained.description
                == "b4564b96f6baac4348249a9934dc704888632b6c2585c9214706fe4286f63a31")
    }

    @Test("IDY-4 variant ids: 0 alone, else the front of the identity")
    func variants() {
        #expect(PrefixContext.standalone.variantID == VariantID(0))
        let context = PrefixContext(prefix: [ChunkKey(hexadecimal: keyA)!], basePosition: 3)
        #expect(context.variantID.description == "8088de285611231d")
    }

    @Test("IDY-1 the encoding is typed and length-prefixed")
    func encoding() {
        var hasher = IdentityHasher(domain: "d")
        hasher.append(number: 258)
        hasher.append(tokens: [0x0403_0201])
        let bytes: [UInt8] =
            [1, 0, 0, 0, 0, 0, 0, 0, 1, 0x64] + [3, 0, 0, 0, 0, 0, 0, 0, 8]
            + [0, 0, 0, 0, 0, 0, 1, 2] + [4, 0, 0, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]
        #expect(hasher.finalize() == sha256(bytes))
    }

    @Test("IDY-5 keys compare as bytes")
    func order() {
        let low = ChunkKey(bytes: [0x01] + [UInt8](repeating: 0xFF, count: 31))!
        let high = ChunkKey(bytes: [0x02] + [UInt8](repeating: 0, count: 31))!
        #expect(low < high)
        #expect(VariantID(2) < VariantID(1 << 40))
    }

    @Test("FMT-7 FMT-8 a seal is HMAC-SHA-256, cut, under a key made from label and salt")
    func seals() {
        let secret = Array(UInt8(0x20)...0x3F)
        let salt = Array(UInt8(0x60)...0x7F)
        let key = SealKey(secret: secret, label: "segment use", salt: salt)
        let seal = key.seal(
            location: bigEndianBytes(7) + bigEndianBytes(8_192), bytes: Array("abc".utf8))
        #expect(seal.description == "9b7cc5e3c8d308f5e61937fefa81f133")
    }

    @Test("FMT-9 a digest slot is XXH3-128 in its canonical order")
    func digests() {
        // The published value of the empty input, seed 0.
        #expect(
            Digest128(hashing: [UInt8]()).description == "99aa06d3014798d86001c324468d497f")
        var writer = FieldWriter(byteCount: 16)
        writer.put(at: 0, bigEndianBytes(0x99aa_06d3_0147_98d8))
        #expect(writer.bytes.prefix(2) == [0x99, 0xaa])
    }

    /// The library's forms for wider vectors say what its plain one says: every length up to two
    /// stripes beyond a block, and around a digest block, from addresses of every kind.
    @Test func digestsDoNotDependOnTheProcessor() {
        let bytes = (0..<(66 << 10)).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ $0 >> 7) }
        let lengths = Array(0...1_160) + [65_535, 65_536, 65_537, 66_000]
        var differences: [Int] = []
        unsafe bytes.withUnsafeBytes { all in
            for length in lengths {
                let start = length % 61
                let part = unsafe UnsafeRawBufferPointer(rebasing: all[start..<start + length])
                let plain = unsafe XXH3_128bits(part.baseAddress, length)
                let digest = unsafe Digest128(hashing: part)
                if digest != Digest128(high: plain.high64, low: plain.low64) {
                    differences.append(length)
                }
            }
        }
        #expect(differences.isEmpty)
    }
}
