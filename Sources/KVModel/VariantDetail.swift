// What a variant may carry beyond what every plan needs. Its size depends on the model and on the
// prefix, and most variants have none of it, so it stands apart from `RecomputeMetadata`: a put
// reserves room for that before it knows anything of this.

/// The open part of a variant's metadata (format-spec 05, "Sections"). Empty lists are absent.
public struct VariantDetail: Hashable, Sendable {
    /// For which positions the rotated keys were rotated, one a token, rising; empty when they are
    /// consecutive from the record's base position. A reader that does not turn each key from its
    /// own position must not use the keys.
    public var positions: [UInt32]
    /// Cache-Craft's intra(Ci) of each layer, divided by the chunk's tokens: the share of a query's
    /// attention, 0 to 1, that stayed in the chunk.
    public var layerIntra: [Float16]
    /// Cache-Craft's inter(Ci, Cj), `[layer][prefix chunk]`, divided by the chunk's tokens: the
    /// share of a query's attention, 0 to 1, that went to that chunk.
    public var layerInter: [Float16]
    /// Sections of kinds that this version does not know, as they were read.
    public var others: [MetadataSection]

    public init(
        positions: [UInt32] = [], layerIntra: [Float16] = [], layerInter: [Float16] = [],
        others: [MetadataSection] = []
    ) {
        self.positions = positions
        self.layerIntra = layerIntra
        self.layerInter = layerInter
        self.others = others
    }
}

/// Room for a variant's detail: a put that streams its layers reserves it before it has the detail.
public struct DetailRoom: Hashable, Sendable {
    /// Whether a position may be listed for each token: 4 bytes each.
    public var listsPositions: Bool
    /// Layers whose attention sums may be kept: 2 bytes a layer, and 2 for each chunk in front.
    public var layerCount: Int
    /// Sections of kinds that this version does not know, each with its head of 6 bytes.
    public var otherBytes: Int

    public init(listsPositions: Bool = false, layerCount: Int = 0, otherBytes: Int = 0) {
        self.listsPositions = listsPositions
        self.layerCount = layerCount
        self.otherBytes = otherBytes
    }

    /// As much as this detail takes, where `prefixCount` chunks stand in front.
    public init(for detail: VariantDetail, prefixCount: Int) {
        let interLayers = prefixCount > 0 ? detail.layerInter.count / prefixCount : 0
        self.init(
            listsPositions: !detail.positions.isEmpty,
            layerCount: max(detail.layerIntra.count, interLayers),
            otherBytes: detail.others.reduce(0) { $0 + 6 + $1.bytes.count })
    }

    public static let none = Self()
}

/// A section of a kind that this version does not know.
public struct MetadataSection: Hashable, Sendable {
    public let kind: UInt16
    public let bytes: [UInt8]
    public init(kind: UInt16, bytes: [UInt8]) {
        self.kind = kind
        self.bytes = bytes
    }
}
