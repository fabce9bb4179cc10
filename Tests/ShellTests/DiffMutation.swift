// What may have happened to a store: faults of the medium, files that went missing, and changes by
// somebody who can seal again, which reach behind the gate that stops all others.

import ChunkFormat
import Primitives

struct DiffMutation {
    private(set) var image: DiffImage
    /// What was done, for a person.
    private(set) var story: [String] = []
    private let base: DiffBase
    private var random: SeededGenerator

    init(_ base: DiffBase, seed: UInt64) {
        self.base = base
        image = base.image
        random = SeededGenerator(seed: seed)
        for _ in 0..<[1, 1, 1, 2, 3].randomElement(using: &random)! { mutateOnce() }
    }

    private mutating func mutateOnce() {
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<3: flip()
        case 3: swapBlocks()
        case 4: overwriteBlock()
        case 5: truncate()
        case 6: remove()
        case 7: changeCheckpointRow()
        default: changeField()
        }
    }

    private mutating func anyFile() -> String {
        image.files.keys.sorted().randomElement(using: &random) ?? "superblock"
    }

    private mutating func anyBlock() -> (file: String, start: Int)? {
        let file = anyFile()
        guard let bytes = image.files[file],
            let start = DiffImage.usedBlocks(bytes).randomElement(using: &random)
        else { return nil }
        return (file, start)
    }

    // MARK: The medium

    private mutating func flip() {
        guard let (file, start) = anyBlock() else { return }
        let count = min(4_096, image.files[file]!.count - start)
        let reach = Bool.random(using: &random) ? min(256, count) : count
        let at = start + Int.random(in: 0..<reach, using: &random)
        let bit = Int.random(in: 0..<8, using: &random)
        image.files[file]![at] ^= 1 << bit
        story.append("flip \(file):\(at):\(bit)")
    }

    private mutating func swapBlocks() {
        guard let one = anyBlock(), let other = anyBlock(),
            let first = image.bytes(one.file, one.start, 4_096),
            let second = image.bytes(other.file, other.start, 4_096)
        else { return }
        image.put(second, one.file, at: one.start)
        image.put(first, other.file, at: other.start)
        story.append("swap \(one) \(other)")
    }

    /// With another's bytes, or zeros.
    private mutating func overwriteBlock() {
        guard let target = anyBlock(), let source = anyBlock() else { return }
        let isZero = Bool.random(using: &random)
        let zeros = [UInt8](repeating: 0, count: 4_096)
        guard let bytes = isZero ? zeros : image.bytes(source.file, source.start, 4_096) else {
            return
        }
        image.put(bytes, target.file, at: target.start)
        story.append("overwrite \(target) with \(isZero ? "zeros" : "\(source)")")
    }

    private mutating func truncate() {
        let file = anyFile()
        guard let count = image.files[file]?.count, count > 0 else { return }
        var length = Int.random(in: 0..<count, using: &random)
        if Bool.random(using: &random) { length &= ~4_095 }
        image.files[file]!.removeLast(count - length)
        story.append("truncate \(file) to \(length)")
    }

    private mutating func remove() {
        let file = anyFile()
        image.files[file] = nil
        story.append("remove \(file)")
    }

    // MARK: Sealed again

    private mutating func changeField() {
        // Every kind of structure gets its share, however few there are.
        let kinds = Set(base.places.map(\.layout)).sorted()
        let kind = kinds.randomElement(using: &random)!
        let place = base.places.filter { $0.layout == kind }.randomElement(using: &random)!
        guard image.bytes(place.file, place.offset, place.byteCount) != nil else { return }
        let row = Bool.random(using: &random) ? place.rows.randomElement(using: &random) : nil
        let (name, at) = row ?? (layout: place.layout, at: 0)
        let fields = AllLayouts.named(name)!.fields.filter { !$0.name.hasPrefix("seal") }
        var field = fields.randomElement(using: &random)!
        if case .reserved = field.type { field = fields.randomElement(using: &random)! }
        // The streams behind the tables: the metadata, a namespace operation.
        let stream =
            ["namespaceHeader": 80..<260, "journalBlock": 48..<220][place.layout]
            ?? (place.layout == "payloadHeader" ? 400..<900 : nil)
        let inStream = stream != nil && row == nil && Int.random(in: 0..<3, using: &random) == 0
        let offset =
            inStream
            ? Int.random(in: stream!, using: &random) : at + field.offset
        let width = inStream ? 1 : min(field.type.byteCount, 8)
        let value = changed(place, offset, width)
        var copies = [place]
        if kind == "superblock", Bool.random(using: &random) {
            copies = Array(
                base.places.filter { $0.layout == kind }.shuffled(using: &random)
                    .prefix(Bool.random(using: &random) ? 4 : 2))
        }
        for copy in copies {
            image.put(value, copy.file, at: copy.offset + offset)
            reseal(copy, follows: Int.random(in: 0..<4, using: &random) > 0)
        }
        let what = inStream ? "stream" : "\(name).\(field.name)"
        story.append("\(what) \(place.file):\(place.offset)+\(offset) = \(value) ×\(copies.count)")
    }

    /// An extreme, a neighbour of what stands there, or what stands in another place of that kind.
    private mutating func changed(_ place: SealedPlace, _ offset: Int, _ width: Int) -> [UInt8] {
        let old = image.bytes(place.file, place.offset + offset, width) ?? []
        let number = old.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let extremes: [UInt64] = [
            0, 1, 2, 3, 255, 4_095, 4_096, 65_535, 1 << 20, 1 << 24, (1 << 26) + 1, 1 << 31,
            (1 << 32) - 1, 1 << 32, (1 << 32) + 4_096, 1 << 62, 1 << 63, .max - 4_095, .max,
        ]
        let new: UInt64
        switch Int.random(in: 0..<3, using: &random) {
        case 0: new = extremes.randomElement(using: &random)!
        case 1:
            let steps: [UInt64] = [1, 2, 4_096, 8_192]
            let step = steps.randomElement(using: &random)!
            new = Bool.random(using: &random) ? number &+ step : number &- step
        default:
            let twins = base.places.filter { $0.layout == place.layout }
            let twin = twins.randomElement(using: &random) ?? place
            return image.bytes(twin.file, twin.offset + offset, width) ?? old
        }
        return (0..<width).map { UInt8(truncatingIfNeeded: new >> ($0 * 8)) }
    }

    /// Makes the seal right, and, when it `follows`, what names the record by its seal as well.
    private mutating func reseal(_ place: SealedPlace, follows: Bool) {
        if place.layout == "payloadHeader" { repairMetadata(place) }
        guard var bytes = image.bytes(place.file, place.offset, place.byteCount) else { return }
        let seal = place.sealOffset..<place.sealOffset + 16
        let old = Array(bytes[seal])
        bytes.replaceSubrange(seal, with: [UInt8](repeating: 0, count: 16))
        let key =
            place.key
            ?? SealKey(secret: Array(bytes[32..<64]), label: "superblock", salt: [])
        let code = key.seal(location: place.location, bytes: bytes)
        let new = bigEndianBytes(code.high) + bigEndianBytes(code.low)
        image.put(new, place.file, at: place.offset + place.sealOffset)
        guard follows, place.isRecord, old != new else { return }
        for other in base.places
        where other.isRecord && (other.file, other.offset) != (place.file, place.offset) {
            let rows = other.rows.filter { row in
                (row.layout == "commitMember" || row.layout == "siblingRow")
                    && image.bytes(other.file, other.offset + row.at + 32, 16) == old
            }
            for row in rows { image.put(new, other.file, at: other.offset + row.at + 32) }
            if !rows.isEmpty { reseal(other, follows: true) }
        }
    }

    private mutating func repairMetadata(_ place: SealedPlace) {
        guard let bytes = image.bytes(place.file, place.offset, place.byteCount) else { return }
        func count(_ at: Int) -> Int {
            (0..<4).reduce(0) { $0 | Int(bytes[at + $1]) << ($1 * 8) }
        }
        let start = 256 + 48 * (count(160) + count(164)) + 16 * count(168)
        guard start + count(172) <= bytes.count else { return }
        let digest = Digest128(hashing: Array(bytes[start..<start + count(172)]))
        image.put(
            bigEndianBytes(digest.high) + bigEndianBytes(digest.low), place.file,
            at: place.offset + 240)
    }

    private mutating func changeCheckpointRow() {
        guard let (layout, at) = base.checkpointRows.randomElement(using: &random),
            let file = image.files["checkpoint"], file.count >= 3 * 4_096,
            file.count < 2 * 4_096 + (1 << 20),
            let header = base.places.first(where: { $0.layout == "checkpointHeader" })
        else { return }
        let field = AllLayouts.named(layout)!.fields.randomElement(using: &random)!
        let place = SealedPlace(
            layout: layout, file: "checkpoint", offset: at, byteCount: 72, sealOffset: 0,
            location: [], key: nil)
        let value = changed(place, field.offset, min(field.type.byteCount, 8))
        image.put(value, "checkpoint", at: at + field.offset)
        // All rows are one piece; one block of slots follows.
        let tableAt = file.count - 4_096
        let slot = Digest128(hashing: Array(image.files["checkpoint"]![4_096..<tableAt]))
        let table =
            bigEndianBytes(slot.high) + bigEndianBytes(slot.low)
            + [UInt8](repeating: 0, count: 4_096 - 16)
        image.put(table, "checkpoint", at: tableAt)
        let digest = Digest128(hashing: table)
        image.put(
            bigEndianBytes(digest.high) + bigEndianBytes(digest.low), "checkpoint", at: 64)
        reseal(header, follows: false)
        story.append("\(layout).\(field.name) at \(at) = \(value)")
    }
}
