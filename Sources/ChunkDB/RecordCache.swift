// Opened header regions, so that reading layers of a chunk again needs no header read. Keyed by
// place; a place belongs to one segment use for as long as its handle is in the segment table.

import ChunkFormat
import Primitives
import Synchronization

/// A payload record that was opened: sealed, in its place, of this identity.
public final class OpenedRecord: Sendable {
    let record: PayloadRecord
    let seal: Digest128
    let cost: Int

    init(record: PayloadRecord, seal: Digest128) {
        self.record = record
        self.seal = seal
        cost = Int(record.prefix.headerBytes) + 256
    }
}

final class RecordCache: Sendable {
    private struct State {
        var records: [RecordLocation: OpenedRecord] = [:]
        /// In order of arrival, which is the order of leaving.
        var order: [RecordLocation] = []
        var oldest = 0
        var cost = 0
    }
    private let state = Mutex(State())
    private let costMax: Int

    init(size: ByteCount) { costMax = Int(min(size.bytes, UInt64(Int.max))) }

    subscript(location: RecordLocation) -> OpenedRecord? {
        state.withLock { $0.records[location] }
    }

    func insert(_ opened: OpenedRecord) {
        let location = opened.record.prefix.location
        state.withLock { state in
            guard state.records.updateValue(opened, forKey: location) == nil else { return }
            state.order.append(location)
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
