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

/// A section of a kind that this version does not know.
public struct MetadataSection: Hashable, Sendable {
    public let kind: UInt16
    public let bytes: [UInt8]
    public init(kind: UInt16, bytes: [UInt8]) {
        self.kind = kind
        self.bytes = bytes
    }
}
