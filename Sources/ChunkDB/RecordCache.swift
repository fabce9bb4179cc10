// Opened header regions, so that reading layers of a chunk again needs no header read. Keyed by
// place and segment use: another use has other records in the same places.

import ChunkFormat
import Primitives
import SegmentLog
import Synchronization

/// A payload record that was opened: sealed, in its place, of this identity.
public final class OpenedRecord: Sendable {
    /// Without its metadata part, which is here decoded.
    let record: PayloadRecord
    /// Of a variant's first record; plans are made from it, so it is decoded once.
    let metadata: ChunkMetadata?
    /// Whether there are planes of each layer of its range, and of no other (PAY-7).
    let holdsItsLayers: Bool
    let seal: Digest128
    let cost: Int

    /// *Throws:* when the metadata part does not decode.
    init(record: PayloadRecord, seal: Digest128) throws(FormatError) {
        var record = record
        metadata =
            record.recordIndex == 0 ? try ChunkMetadata(decoding: record.metadata) : nil
        record.metadata = []
        self.record = record
        let planes = record.extents.filter { $0.kind == .keys || $0.kind == .values }
        let first = Int(record.layerFirst)
        holdsItsLayers =
            Set(planes.map { Int($0.layer) }) == Set(first..<first + Int(record.layerCount))
        self.seal = seal
        cost = Int(record.prefix.headerBytes) + 256
    }
}

final class RecordCache: Sendable {
    struct Place: Hashable, Sendable {
        let segment: SegmentID
        let useSequence: UInt64
        let offset: UInt64

        init(_ handle: SegmentHandle, _ location: RecordLocation) {
            segment = handle.id
            useSequence = handle.header.useSequence
            offset = location.offset
        }
    }

    private struct State {
        var records: [Place: OpenedRecord] = [:]
        /// In order of arrival, which is the order of leaving.
        var order: [Place] = []
        var oldest = 0
        var cost = 0
    }
    private let state = Mutex(State())
    private let costMax: Int

    init(size: ByteCount) { costMax = Int(min(size.bytes, UInt64(Int.max))) }

    subscript(place: Place) -> OpenedRecord? {
        state.withLock { $0.records[place] }
    }

    func insert(_ opened: OpenedRecord, at place: Place) {
        state.withLock { state in
            guard state.records.updateValue(opened, forKey: place) == nil else { return }
            state.order.append(place)
            state.cost += opened.cost
            while state.cost > costMax, state.oldest < state.order.count {
                let leaving = state.order[state.oldest]
                state.oldest += 1
                state.cost -= state.records.removeValue(forKey: leaving)?.cost ?? 0
            }
            if state.oldest > 1_024, state.oldest * 2 > state.order.count {
                state.order.removeFirst(state.oldest)
                state.oldest = 0
            }
        }
    }
}
