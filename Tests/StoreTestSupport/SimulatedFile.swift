// The contents of one simulated file between promise and fact (CONTRACT F-B): what is durable,
// what was written and not flushed, what is being written, and what a reader sees meanwhile.

import Primitives

/// Bytes on their way to the medium.
struct PendingWrite: Sendable {
    let number: UInt64
    let offset: Int
    let bytes: [UInt8]
    /// Blocks over which a later durable write went; nothing of them can come back.
    var coveredBlocks: Set<Int> = []

    var range: Range<Int> { offset..<offset + bytes.count }
    var blocks: Range<Int> {
        let unit = BlockMap.blockBytes
        return offset / unit..<(offset + bytes.count + unit - 1) / unit
    }
}

struct SimulatedFile: Sendable {
    static let sectorBytes = 512

    /// What a reader sees.
    private(set) var content = BlockMap()
    private(set) var byteCount = 0
    private(set) var allocatedByteCount = 0

    private var durable = BlockMap()
    private(set) var durableByteCount = 0
    /// Lengths that the file had since the durable one, in order.
    private var lengths: [LengthChange] = []
    private var lengthNumber: UInt64 = 0
    /// Completed, in order of completion, and not covered by a flush.
    private(set) var unflushed: [PendingWrite] = []
    private(set) var inFlight: [UInt64: PendingWrite] = [:]
    /// Writes that failed, or that a failed flush should have covered: no flush can save them.
    private var uncertain: [PendingWrite] = []

    private struct LengthChange: Sendable {
        let number: UInt64
        let byteCount: Int
        /// The last unflushed write before it.
        let lastWrite: UInt64
    }

    /// A flush on its way: the writes and the length whose completion it can have seen.
    struct FlushScope: Sendable {
        let writes: Set<UInt64>
        let lengthNumber: UInt64
    }

    // MARK: Effects

    mutating func begin(_ write: PendingWrite) { inFlight[write.number] = write }

    mutating func complete(_ number: UInt64) {
        let write = inFlight.removeValue(forKey: number)!
        content.write(write.bytes[...], at: write.offset)
        unflushed.append(write)
        if write.range.upperBound > byteCount { setByteCount(write.range.upperBound) }
        allocatedByteCount = max(allocatedByteCount, write.range.upperBound)
    }

    /// A failed write leaves its range with old bytes, new bytes, or some of each.
    /// - Parameter arrived: bytes that a reader sees; `nil` draws it.
    mutating func failWrite(
        _ number: UInt64, arrived: Int? = nil, _ generator: inout SeededGenerator
    ) {
        let write = inFlight.removeValue(forKey: number)!
        let kept =
            arrived ?? Int.random(in: 0...write.bytes.count, using: &generator)
            / Self.sectorBytes * Self.sectorBytes
        let end = min(write.offset + kept, max(byteCount, write.offset))
        content.write(write.bytes[..<(end - write.offset)], at: write.offset)
        uncertain.append(write)
    }

    mutating func setByteCount(_ count: Int) {
        if count < byteCount { content.truncate(to: count) }
        byteCount = count
        lengthNumber += 1
        lengths.append(
            LengthChange(
                number: lengthNumber, byteCount: count, lastWrite: unflushed.last?.number ?? 0))
    }

    mutating func allocate(_ count: Int) {
        if count > byteCount { setByteCount(count) }
        allocatedByteCount = max(allocatedByteCount, count)
    }

    mutating func truncate(_ count: Int) {
        setByteCount(count)
        allocatedByteCount = min(allocatedByteCount, count)
    }

    /// What a flush that is issued now will cover.
    var flushScope: FlushScope {
        FlushScope(writes: Set(unflushed.map(\.number)), lengthNumber: lengthNumber)
    }

    /// Writes and cuts become durable in the order in which they happened.
    mutating func complete(_ flush: FlushScope) {
        var cuts = lengths.filter { $0.number <= flush.lengthNumber }[...]
        for write in unflushed where flush.writes.contains(write.number) {
            while let cut = cuts.first, cut.lastWrite < write.number {
                settle(cut)
                cuts.removeFirst()
            }
            makeDurable(write)
        }
        for cut in cuts { settle(cut) }
        unflushed.removeAll { flush.writes.contains($0.number) }
        lengths.removeAll { $0.number <= flush.lengthNumber }
    }

    private mutating func settle(_ change: LengthChange) {
        if change.byteCount < durableByteCount { durable.truncate(to: change.byteCount) }
        durableByteCount = change.byteCount
    }

    /// - Parameter isLossy: whether readers see old bytes, too, where a write was lost.
    mutating func fail(
        _ flush: FlushScope, isLossy: Bool, _ generator: inout SeededGenerator
    ) {
        let failed = unflushed.filter { flush.writes.contains($0.number) }
        uncertain += failed
        for write in failed where isLossy && Bool.random(using: &generator) {
            let old = durable.bytes(at: write.offset, count: write.bytes.count)
            content.write(old[...], at: write.offset)
        }
        unflushed.removeAll { flush.writes.contains($0.number) }
    }

    private mutating func makeDurable(_ write: PendingWrite) {
        for block in write.blocks where !write.coveredBlocks.contains(block) {
            let start = block * BlockMap.blockBytes - write.offset
            let range = max(start, 0)..<min(start + BlockMap.blockBytes, write.bytes.count)
            durable.write(write.bytes[range], at: write.offset + range.lowerBound)
        }
        for index in uncertain.indices where uncertain[index].number < write.number {
            uncertain[index].coveredBlocks.formUnion(write.blocks)
        }
    }

    // MARK: Test access

    /// Changes what is on the medium, behind everybody's back.
    mutating func overwrite(_ bytes: [UInt8], at offset: Int) {
        content.write(bytes[...], at: offset)
        durable.write(bytes[...], at: offset)
    }

    mutating func flip(byte: Int, bit: Int) {
        let mask: UInt8 = 1 << bit
        content.write([content.bytes(at: byte, count: 1)[0] ^ mask], at: byte)
        durable.write([durable.bytes(at: byte, count: 1)[0] ^ mask], at: byte)
    }

    mutating func overwriteByteCount(_ count: Int) {
        content.truncate(to: count)
        durable.truncate(to: count)
        (byteCount, durableByteCount, allocatedByteCount) = (count, count, count)
        lengths = []
    }

    /// Ends every write in flight: all of it arrives, or its first sectors. What arrived is like
    /// any other write then: the flush of whoever opens the file next covers it.
    mutating func abandon(_ generator: inout SeededGenerator) {
        for number in inFlight.keys.sorted() {
            if Bool.random(using: &generator) {
                let write = inFlight[number]!
                let sectorCount = write.bytes.count / Self.sectorBytes
                let kept = Int.random(in: 0...sectorCount, using: &generator)
                let end = write.offset + kept * Self.sectorBytes
                let bytes = write.bytes[..<max(0, min(end, byteCount) - write.offset)]
                inFlight[number] = PendingWrite(
                    number: number, offset: write.offset, bytes: Array(bytes))
            }
            complete(number)
        }
    }

    // MARK: Crash

    /// Writes that no flush has covered, oldest first.
    var uncertainWrites: [PendingWrite] {
        (uncertain + unflushed + inFlight.values).sorted { $0.number < $1.number }
    }

    /// The file as a power cut may leave it: everything in it is durable.
    /// - Parameter torn: the write that `survival.newestWriteSectors` is about.
    func crashed(
        _ survival: Survival, torn: UInt64? = nil, _ generator: inout SeededGenerator
    ) -> SimulatedFile {
        var writes = uncertain + unflushed
        writes += inFlight.values.sorted { $0.number < $1.number }
        let newest = writes.first { $0.number == torn }
        if let torn { writes.removeAll { $0.number == torn } }
        var survivors = zip(
            writes, survival.data.survivors(of: writes.count, &generator)
        ).filter(\.1).map(\.0)
        // Unflushed writes reach the medium in any order (F-B.2).
        if survival.data != .all { survivors.shuffle(using: &generator) }
        var image = durable
        for write in survivors {
            Self.apply(write, to: &image, survival.data, &generator)
        }
        if let newest, let kept = survival.newestWriteSectors {
            Self.apply(newest, sectors: 0..<kept, to: &image)
        }
        return SimulatedFile(
            durable: image, byteCount: survivingByteCount(survival.lengths, &generator))
    }

    init() {}

    private init(durable image: BlockMap, byteCount: Int) {
        durable = image
        durable.truncate(to: byteCount)
        content = durable
        self.byteCount = byteCount
        durableByteCount = byteCount
        allocatedByteCount = byteCount
    }

    private func survivingByteCount(
        _ pattern: SurvivalPattern, _ generator: inout SeededGenerator
    ) -> Int {
        switch pattern {
        case .none: durableByteCount
        case .all: byteCount
        default: ([durableByteCount] + lengths.map(\.byteCount)).randomElement(using: &generator)!
        }
    }

    private static func apply(
        _ write: PendingWrite, to image: inout BlockMap, _ pattern: SurvivalPattern,
        _ generator: inout SeededGenerator
    ) {
        let sectorCount = write.bytes.count / sectorBytes
        switch pattern {
        case .tornPrefix:
            let kept = Int.random(in: 0...sectorCount, using: &generator)
            apply(write, sectors: 0..<kept, to: &image)
        case .tornInside, .garbage:
            for sector in 0..<sectorCount where Bool.random(using: &generator) {
                if pattern == .tornInside {
                    apply(write, sectors: sector..<sector + 1, to: &image)
                } else {
                    let words = (0..<sectorBytes / 8).map { _ in generator.next() }
                    let start = write.offset + sector * sectorBytes
                    if write.coveredBlocks.contains(start / BlockMap.blockBytes) { continue }
                    image.write(memoryBytes(words)[...], at: start)
                }
            }
        default: apply(write, sectors: 0..<sectorCount, to: &image)
        }
    }

    private static func apply(
        _ write: PendingWrite, sectors: Range<Int>, to image: inout BlockMap
    ) {
        let range = sectors.lowerBound * sectorBytes..<sectors.upperBound * sectorBytes
        if write.coveredBlocks.isEmpty {
            return image.write(write.bytes[range], at: write.offset + range.lowerBound)
        }
        for start in stride(from: range.lowerBound, to: range.upperBound, by: sectorBytes) {
            let block = (write.offset + start) / BlockMap.blockBytes
            if write.coveredBlocks.contains(block) { continue }
            image.write(write.bytes[start..<start + sectorBytes], at: write.offset + start)
        }
    }
}
