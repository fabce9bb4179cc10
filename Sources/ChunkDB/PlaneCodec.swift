// Which form the planes of a put are stored in. Encoding is lossless, so the form is no part of a
// chunk's name: whoever reads gets the bytes that were put.

import ChunkFormat
import Codecs
import KVModel
import Primitives

/// How the planes of a put are stored.
public enum PlaneCodec: Sendable, Hashable, CaseIterable {
    /// As they are. Any rows can be read alone, straight to their place.
    case raw
    /// Split into byte planes, and those compressed by LZ4 where that shortens them (format-spec
    /// 05, "Codec 1"). Readers of a few rows read whole planes; everybody pays for decoding.
    case bytePlanesLZ4
    /// Byte planes and LZ4 for a chunk whose planes then take at most 7/8 of the disk they would
    /// take raw, measured by encoding them; raw otherwise.
    case measured

    /// A gain of less than one part in so many does not pay for decoding.
    static let gainDivisor = 8
}

/// All planes of a chunk as they will stand on disk.
struct StoredPlanes: Sendable {
    /// `nil` when they are raw.
    let form: BytePlanes?
    let layers: [(keys: [UInt8], values: [UInt8])]
}

extension StoredPlanes {
    /// Encodes, if `codec` says so and it gains what it must.
    init(
        _ layers: [(keys: [UInt8], values: [UInt8])], _ codec: PlaneCodec, _ form: BytePlanes,
        unit: Int
    ) {
        // A larger plane fits no segment, which the plan will say.
        let isRaw = codec == .raw || layers.contains { $0.keys.count > UInt32.max }
        let encoded =
            isRaw ? [] : layers.map { (form.encode($0.keys), form.encode($0.values)) }
        func diskBytes(_ layers: [(keys: [UInt8], values: [UInt8])]) -> Int {
            layers.reduce(0) {
                $0 + aligned($1.keys.count, to: unit) + aligned($1.values.count, to: unit)
            }
        }
        let isWorth =
            switch codec {
            case .raw: false
            case .bytePlanesLZ4: !isRaw
            case .measured:
                !isRaw
                    && diskBytes(encoded) <= diskBytes(layers) / PlaneCodec.gainDivisor
                        * (PlaneCodec.gainDivisor - 1)
            }
        self.init(form: isWorth ? form : nil, layers: isWorth ? encoded : layers)
    }
}
