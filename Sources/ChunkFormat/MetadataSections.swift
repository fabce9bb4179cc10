// The open end of the metadata part (format-spec 05, "Sections"): what most variants lack stands in
// sections that name their kind and length, so that a later version adds one and a reader of today
// keeps and skips it. What a reader must not skip has to be known from the first version on, which
// is why the position list is here.

import KVModel
import Primitives

enum MetadataSectionKind: UInt16, CaseIterable {
    case parent = 1
    case deviceClass = 2
    case positions = 3
    case layerIntra = 4
    case layerInter = 5
}

/// The sections of one metadata part, in ascending order of kind.
struct MetadataSections {
    static let countMax = 64
    /// Kind and length before each section.
    static let headBytes = 6
    /// What a put reserves for the sections of `RecomputeMetadata`.
    static let reservedBytes =
        2 * headBytes + UInt64.bitWidth / 8 + DeviceClass.byteCountMax

    private(set) var parent: VariantID?
    private(set) var deviceClass: DeviceClass?
    private(set) var detail = VariantDetail()

    init(_ recompute: RecomputeMetadata, _ detail: VariantDetail) {
        parent = recompute.parent
        deviceClass = recompute.deviceClass
        self.detail = detail
    }

    // MARK: Writing

    func write(to writer: inout ByteStreamWriter) {
        var sections: [(kind: UInt16, bytes: [UInt8])] = []
        func add(_ kind: MetadataSectionKind, _ fill: (inout ByteStreamWriter) -> Void) {
            var body = ByteStreamWriter()
            fill(&body)
            if !body.bytes.isEmpty { sections.append((kind.rawValue, body.bytes)) }
        }
        if let parent { add(.parent) { $0.put(parent.raw) } }
        if let deviceClass { add(.deviceClass) { $0.put(Array(deviceClass.name.utf8)) } }
        add(.positions) { for position in detail.positions { $0.put(position) } }
        add(.layerIntra) { for share in detail.layerIntra { $0.put(share.bitPattern) } }
        add(.layerInter) { for share in detail.layerInter { $0.put(share.bitPattern) } }
        for section in detail.others {
            precondition(
                MetadataSectionKind(rawValue: section.kind) == nil, "a known kind has its own field"
            )
            sections.append((section.kind, section.bytes))
        }
        precondition(sections.count <= Self.countMax, "too many metadata sections")
        writer.put(UInt32(sections.count))
        for section in sections.sorted(by: { $0.kind < $1.kind }) {
            writer.put(section.kind)
            writer.put(UInt32(section.bytes.count))
            writer.put(section.bytes)
        }
    }

    // MARK: Reading

    init(
        _ reader: inout ByteStreamReader, tokenCount: Int, prefixCount: Int
    ) throws(FormatError) {
        let count = try reader.count(
            "sectionsCount", itemBytes: Self.headBytes, max: Self.countMax)
        var last: UInt16?
        for _ in 0..<count {
            let kind: UInt16 = try reader.integer("sections.kind")
            try reader.require(
                last.map { $0 < kind } ?? true, "sections.kind", clause: "MET-5",
                expected: "more than \(last ?? 0)", found: "\(kind)")
            last = kind
            let byteCount: UInt32 = try reader.integer("sections.byteCount")
            let bytes = try reader.take(Int(byteCount), "sections.bytes")
            guard let known = MetadataSectionKind(rawValue: kind) else {
                detail.others.append(MetadataSection(kind: kind, bytes: bytes))
                continue
            }
            try read(known, bytes, tokenCount: tokenCount, prefixCount: prefixCount)
        }
    }

    private mutating func read(
        _ kind: MetadataSectionKind, _ bytes: [UInt8], tokenCount: Int, prefixCount: Int
    ) throws(FormatError) {
        var reader = ByteStreamReader(bytes, structure: "metadata")
        switch kind {
        case .parent:
            try reader.requireLength(bytes.count == 8, kind, "8 bytes")
            parent = VariantID(try reader.integer("sections.bytes"))
        case .deviceClass:
            let name = String(validating: bytes, as: UTF8.self)
            deviceClass = name.flatMap { DeviceClass($0) }
            try reader.requireLength(
                deviceClass != nil, kind, "1 to \(DeviceClass.byteCountMax) bytes of UTF-8")
        case .positions:
            try reader.requireLength(
                tokenCount > 0 && bytes.count == 4 * tokenCount, kind, "4 bytes a token")
            for _ in 0..<tokenCount {
                detail.positions.append(try reader.integer("sections.bytes"))
            }
            let rises = zip(detail.positions, detail.positions.dropFirst())
                .allSatisfy { $0 < $1 }
            try reader.require(
                rises, "sections.positions", clause: "MET-8", expected: "rising positions",
                found: "others")
        case .layerIntra:
            detail.layerIntra = try reader.layers(of: 1, byteCount: bytes.count, kind)
        case .layerInter:
            detail.layerInter = try reader.layers(of: prefixCount, byteCount: bytes.count, kind)
        }
    }
}

extension ByteStreamReader {
    fileprivate func requireLength(
        _ condition: Bool, _ kind: MetadataSectionKind, _ expected: String
    ) throws(FormatError) {
        try require(
            condition, "sections.\(kind)", clause: "MET-7", expected: expected,
            found: "\(remaining) bytes")
    }

    /// `rowCount` halves for each of 1 to 1,024 layers.
    fileprivate mutating func layers(
        of rowCount: Int, byteCount: Int, _ kind: MetadataSectionKind
    ) throws(FormatError) -> [Float16] {
        let rowBytes = 2 * rowCount
        try requireLength(
            rowCount > 0 && byteCount > 0 && byteCount.isMultiple(of: rowBytes)
                && byteCount / rowBytes <= ModelBinding.layerCountMax,
            kind, "\(rowBytes) bytes for each of 1 to \(ModelBinding.layerCountMax) layers")
        var values: [Float16] = []
        values.reserveCapacity(byteCount / 2)
        while remaining > 0 {
            values.append(Float16(bitPattern: try integer("sections.bytes")))
        }
        return values
    }
}
