import KVModel
import Primitives
import Testing

@testable import ChunkFormat

@Suite struct NamespaceRefusalTests {
    static let binding = ModelBinding(
        name: "m", weightsDigest: [UInt8](repeating: 1, count: 32),
        layers: [LayerGeometry(kvHeadCount: 2, headDimension: 8)], elementType: .float16,
        rotary: RotaryEmbedding(base: 10_000, dimension: 8))
    static let bytes = NamespaceOperation.create(
        NamespaceDescription(id: NamespaceID(1), name: "n", binding: binding)
    ).encode()

    func clause(_ change: (inout [UInt8]) -> Void) -> String? {
        var copy = Self.bytes
        change(&copy)
        do throws(FormatError) {
            _ = try NamespaceOperation(decoding: copy)
            return nil
        } catch {
            return error.clause
        }
    }

    // Byte positions: operation 0, namespace 2, name 6-8, model 9-11, digest 12-43, elementType 44,
    // keyForm 45, pairing 46, reserved 47, base 48, dimension 52, scaling 56, rank 57, size 59,
    // checkLayer 61, tensor 63, runCount 64, repeat 66, heads 68, dimension 72, window 76.
    @Test("NSP-1 NSP-2 NSP-3 NSP-4 NSP-9 each wrong value is refused with its clause")
    func values() {
        #expect(Self.bytes.count == 80)
        #expect(clause { _ in } == nil)
        #expect(clause { $0[0] = 3 } == "NSP-1")
        #expect(clause { $0[8] = 0xFF } == "NSP-2", "no UTF-8")
        #expect(clause { $0[7] = 1 } == "NSP-2", "a name of 257 bytes")
        for index in [44, 45, 46] { #expect(clause { $0[index] = 9 } == "NSP-3") }
        #expect(clause { $0[47] = 1 } == "NSP-3")
        #expect(clause { $0[56] = 4 } == "NSP-3")
        #expect(clause { $0[52] = 7 } == "NSP-4", "an odd rotary dimension")
        #expect(clause { $0[52] = 10 } == "NSP-4", "a rotary dimension above the head's")
        #expect(clause { $0[59] = 0 } == "NSP-4", "no shards")
        #expect(clause { $0[57] = 1 } == "NSP-4", "rank 1 of 1")
        #expect(clause { $0[61] = 2 } == "NSP-4", "a check layer that the model lacks")
        #expect(clause { $0[71] = 0xFF } == "NSP-4", "four billion heads")
        #expect(clause { $0[66] = 0 } == "NSP-9", "an empty run")
        #expect(clause { $0[67] = 0xFF } == "NSP-9", "too many layers")
        #expect(clause { $0[65] = 0xFF } == "FMT-4", "runs that are not there")
        #expect(
            clause {
                $0[64] = 0
                $0.removeLast(14)
            } == "NSP-4", "no layers")
    }

    // scaling 56, factor 57, betaFast 61, betaSlow 65, attentionFactor 69, positions 73,
    // roundsRamp 77.
    @Test("NSP-3 NSP-4 YaRN: each wrong value is refused with its clause")
    func yarn() throws {
        var binding = Self.binding
        binding.rotary.scaling = .yarn(
            YarnScaling(factor: 4, attentionFactor: 1.5, originalPositionCount: 4_096))
        let bytes = NamespaceOperation.create(
            NamespaceDescription(id: NamespaceID(1), name: "n", binding: binding)
        ).encode()
        func clause(_ change: (inout [UInt8]) -> Void) -> String? {
            self.clause {
                $0 = bytes
                change(&$0)
            }
        }
        #expect(bytes.count == 80 + 21)
        #expect(clause { _ in } == nil)
        #expect(clause { $0[77] = 0 } == nil)
        #expect(clause { $0[77] = 2 } == "NSP-3")
        for index in [60, 64, 68, 72] {
            #expect(clause { $0[index] |= 0x80 } == "NSP-4", "a negative factor")
            #expect(
                clause {
                    $0[index] = 0x7F
                    $0[index - 1] = 0xC0
                } == "NSP-4", "no number")
        }
        #expect(clause { $0[67...68] = $0[63...64] } == "NSP-4", "betaSlow is betaFast")
        #expect(clause { $0[74] = 0 } == "NSP-4", "no original positions")
    }

    @Test("NSP-8 an unknown deviation tensor means no calibration")
    func calibration() throws {
        var bytes = Self.bytes
        bytes[61] = 1
        bytes[63] = 9
        guard case .create(let description) = try NamespaceOperation(decoding: bytes) else {
            Issue.record("not a creation")
            return
        }
        #expect(description.binding.calibration == nil)
    }

    @Test("NSP-1 an operation does not reach behind the header region")
    func region() {
        var generator = SeededGenerator(seed: 21)
        var sealed = Sealed.namespace(&generator)
        sealed = sealed.with(NamespaceRecord.layout["operationBytes"], 5_000).resealed()
        // More bytes than the region: those behind it are under no seal.
        let prefix = try? RecordPrefix(
            decoding: sealed.bytes, at: Self.location(sealed), unit: 4_096)
        let longer = sealed.bytes + [UInt8](repeating: 0, count: 4_096)
        do throws(FormatError) {
            _ = try NamespaceRecord(decoding: longer, prefix: prefix!)
            Issue.record("unsealed bytes were read")
        } catch {
            #expect(error.clause == "NSP-1")
        }
    }

    static func location(_ sealed: Sealed) -> RecordLocation {
        let reader = try! FieldReader(RecordPrefix.layout, sealed.bytes)
        return RecordLocation(
            segment: SegmentID(reader.u32(RecordPrefix.layout["segment"])),
            offset: reader.u64(RecordPrefix.layout["offset"]))
    }
}
