// Where every byte of a layer lands, before any is read: pure arithmetic.
//
//     ┌───────────────────────────┬───────────────────────────┬─ next prompt ─┬──────────────┐
//     │ K: chunk 0, 1, 2 … slack  │ V: chunk 0, 1, 2 … slack  │ K … V …       │ landing area │
//     └───────────────────────────┴───────────────────────────┴───────────────┴──────────────┘
//
// A prompt's rows stand one after the other, as attention wants them, but the disk writes whole
// units at unit boundaries. A plane whose rows begin at a boundary is read to its place; the
// padding behind it falls on the next plane's first rows, which therefore come later. Any other
// plane is read to the landing area and copied once, and so are all further places of a chunk that
// stands in several, or twice in one: it is read once. A coded plane lands there and is decoded to
// each of its places.

import BlockIO
import ChunkDB
import ChunkFormat
import KVModel
import Primitives

/// What all layers of a feed have in common.
struct FeedShape: Sendable {
    let binding: ModelBinding
    /// Of all prompts, each once, with all their layers.
    let chunks: [LocatedChunk]
    let prompts: [FedPrompt]
    let slackRows: Int
    /// Of the disk.
    let unit: Int
    /// Of the largest single read.
    let readBytes: Int

    /// *Throws:* `.shape` when a slab would be larger than any is.
    func requireRoom() throws(StoreError) {
        guard (0...Self.slackRowsMax).contains(slackRows) else {
            throw .shape(
                what: "slack rows", expected: "0 to \(Self.slackRowsMax)", found: "\(slackRows)")
        }
        let rows = prompts.reduce(0) { sum, prompt in
            prompt.chunks.reduce(sum + slackRows) { $0 + $1.tokenCount }
        }
        let rowBytes = binding.layers.indices.map { binding.rowBytes(layer: $0) }.max() ?? 0
        let (bytes, overflow) = rowBytes.multipliedReportingOverflow(by: 2 * rows)
        guard !overflow, bytes <= Self.slabBytesMax else {
            throw .shape(
                what: "a layer's slab",
                expected: "at most \(ByteCount(UInt64(Self.slabBytesMax))); fewer prompts or slack",
                found: "\(rows) rows of twice \(rowBytes) bytes")
        }
    }

    static let slackRowsMax = 1 << 20
    static let slabBytesMax = 1 << 34
}

struct LayerPlan: Sendable {
    /// The rows of one prompt.
    struct Region: Sendable {
        /// In the slab, of rows and slack.
        let keys: Range<Int>
        let values: Range<Int>
        /// One more than chunks: where each chunk's rows begin, and the last end.
        let firstRows: [Int]

        var rowCount: Int { firstRows.last ?? 0 }
        func range(_ kind: ExtentKind) -> Range<Int> { kind == .keys ? keys : values }
    }
    /// Whole digest blocks of one extent.
    struct Part: Sendable {
        let extent: LocatedExtent
        /// In the feed's list.
        let chunk: Int
        let blockOffset: Int
        let byteCount: Int
        /// In the slab.
        let offset: Int
    }
    /// Parts that are neighbours on disk; where they are none in the slab, the read has several
    /// places.
    struct Read: Sendable {
        var parts: [Part]
        var byteCount: Int
        /// In the slab, in the order of the file.
        var places: [Range<Int>] {
            parts.reduce(into: []) { places, part in
                if let last = places.last, last.upperBound == part.offset {
                    places[places.count - 1] = last.lowerBound..<part.offset + part.byteCount
                } else {
                    places.append(part.offset..<part.offset + part.byteCount)
                }
            }
        }
        var fileOffset: UInt64 {
            parts[0].extent.fileOffset + UInt64(parts[0].blockOffset)
        }
    }
    /// From the landing area to a place of rows, decoded on the way if it has to be.
    struct Copy: Sendable {
        let source: Int
        let target: Int
        /// Of the rows.
        let byteCount: Int
        /// The whole plane; `nil` for raw rows.
        let coded: LocatedExtent?
        /// In the feed's list.
        let chunk: Int
    }
    /// One plane at one of its places.
    struct Landing: Sendable {
        let prompt: Int
        /// In the prompt's list.
        let chunk: Int
        let byteCount: Int
        let isDirect: Bool
    }

    let layer: Int
    let rowBytes: Int
    private(set) var regions: [Region] = []
    private(set) var reads: [Read] = []
    /// What can be copied once the read of the same number and all before it were verified.
    private(set) var copies: [[Copy]] = []
    private(set) var landings: [Landing] = []
    /// Of the slab.
    private(set) var byteCount = 0

    /// A place for the rows of a chunk.
    private struct Place {
        let prompt: Int
        let chunk: Int
        let row: Int
    }
    /// Where the padding of a plane falls, until the read of that number has come.
    private struct Padding {
        let range: Range<Int>
        let read: Int
    }

    init(_ shape: FeedShape, layer: Int) {
        self.layer = layer
        rowBytes = shape.binding.rowBytes(layer: layer)
        layOutRegions(shape)
        let (chunks, unit) = (shape.chunks, shape.unit)
        let places = places(shape.prompts, chunkCount: chunks.count)
        var paddings: [Int: [Padding]] = [:]
        var reads: [[(kind: ExtentKind, home: Place?, reads: Range<Int>)]] = []
        for (chunk, places) in places.enumerated() {
            var planes: [(kind: ExtentKind, home: Place?, reads: Range<Int>)] = []
            for kind in [ExtentKind.keys, .values] {
                guard let extent = chunks[chunk].extent(layer: layer, kind) else { continue }
                let home =
                    extent.isCoded
                    ? nil : places.first { start(of: $0, kind).isMultiple(of: unit) }
                let offset = home.map { start(of: $0, kind) } ?? byteCount
                if home == nil { byteCount += extent.paddedBytes }
                let range = add(extent, chunk: chunk, at: offset, shape)
                planes.append((kind, home, range))
                let end = offset + extent.storedBytes
                if let home, extent.storedBytes < extent.paddedBytes {
                    paddings[home.prompt, default: []].append(
                        Padding(range: end..<offset + extent.paddedBytes, read: range.last!))
                }
            }
            reads.append(planes)
        }
        copies = Array(repeating: [], count: self.reads.count)
        for (chunk, planes) in reads.enumerated() {
            for plane in planes {
                for place in places[chunk] {
                    let isHome = plane.home.map { $0.prompt == place.prompt && $0.row == place.row }
                    let bytes = rowBytes * chunks[chunk].tokenCount
                    landings.append(
                        Landing(
                            prompt: place.prompt, chunk: place.chunk, byteCount: bytes,
                            isDirect: isHome ?? false))
                    if isHome == true { continue }
                    addCopies(
                        of: chunk, plane.kind, plane.reads, to: start(of: place, plane.kind),
                        behind: paddings[place.prompt] ?? [])
                }
            }
        }
    }

    private mutating func layOutRegions(_ shape: FeedShape) {
        for prompt in shape.prompts {
            var firstRows = [0]
            for chunk in prompt.chunks { firstRows.append(firstRows.last! + chunk.tokenCount) }
            let length = aligned(
                rowBytes * (firstRows.last! + shape.slackRows), to: shape.unit)
            regions.append(
                Region(
                    keys: byteCount..<byteCount + length,
                    values: byteCount + length..<byteCount + 2 * length, firstRows: firstRows))
            byteCount += 2 * length
        }
    }

    private func places(_ prompts: [FedPrompt], chunkCount: Int) -> [[Place]] {
        var places: [[Place]] = Array(repeating: [], count: chunkCount)
        for (prompt, found) in prompts.enumerated() {
            for (chunk, index) in found.indices.enumerated() {
                places[index].append(
                    Place(prompt: prompt, chunk: chunk, row: regions[prompt].firstRows[chunk]))
            }
        }
        return places
    }

    private func start(of place: Place, _ kind: ExtentKind) -> Int {
        regions[place.prompt].range(kind).lowerBound + place.row * rowBytes
    }

    /// Splits an extent into reads, the first of which may join the last one that is there.
    private mutating func add(
        _ extent: LocatedExtent, chunk: Int, at offset: Int, _ shape: FeedShape
    ) -> Range<Int> {
        // Both are powers of two.
        let grid = max(extent.digestBlockBytes, shape.unit)
        let partBytes = max(shape.readBytes / grid, 1) * grid
        var first = reads.count
        for start in stride(from: 0, to: extent.paddedBytes, by: partBytes) {
            let part = Part(
                extent: extent, chunk: chunk, blockOffset: start,
                byteCount: min(partBytes, extent.paddedBytes - start), offset: offset + start)
            if let last = reads.last, last.parts[0].extent.file == extent.file,
                last.fileOffset + UInt64(last.byteCount) == extent.fileOffset + UInt64(start),
                last.byteCount + part.byteCount <= partBytes,
                last.parts.count < IORequest.slicesMax
            {
                if start == 0 { first = reads.count - 1 }
                reads[reads.count - 1].parts.append(part)
                reads[reads.count - 1].byteCount += part.byteCount
            } else {
                reads.append(Read(parts: [part], byteCount: part.byteCount))
            }
        }
        return first..<reads.count
    }

    private mutating func addCopies(
        of chunk: Int, _ kind: ExtentKind, _ range: Range<Int>, to target: Int,
        behind paddings: [Padding]
    ) {
        for read in range {
            for part in reads[read].parts where part.chunk == chunk && part.extent.kind == kind {
                let extent = part.extent
                let isCoded = extent.isCoded
                // A coded plane is decoded when its last part has come.
                if isCoded, part.blockOffset + part.byteCount < extent.paddedBytes { continue }
                let first = isCoded ? 0 : part.blockOffset
                let count =
                    isCoded
                    ? extent.rawBytes : min(part.byteCount, extent.storedBytes - part.blockOffset)
                let place = target + first..<target + first + count
                let last = paddings.lazy.filter { $0.range.overlaps(place) }.map(\.read).max()
                copies[max(read, last ?? read)].append(
                    Copy(
                        source: isCoded ? part.offset - part.blockOffset : part.offset,
                        target: place.lowerBound, byteCount: count,
                        coded: isCoded ? extent : nil, chunk: chunk))
            }
        }
    }
}
