// What a feed knows about its reads. Only `FeedLoader` changes it, under its lock.

import BlockIO
import ChunkDB
import Primitives
import Synchronization

struct FeedState {
    /// A layer's number, in the order in which layers are handed over.
    typealias Position = Int

    enum ReadEnd {
        case transferred(Result<Int, DiskError>)
        /// Cancelled before it was submitted.
        case skipped
    }
    enum Phase {
        case waiting
        case open(OpenLayer)
        /// Handed over, failed or cancelled.
        case over
    }
    struct ReadID: Hashable {
        let position: Position
        let read: Int
    }
    struct Flight {
        /// `nil` once the read has come.
        var slab: Slab?
        let byteCount: Int
        let layer: Int
        let part: LayerPlan.Part
        let since: UInt64
        var isReported = false
    }
    var phases: [Phase]
    /// The next to be handed over.
    var next: Position = 0
    /// In the order of submission: layers before this one were submitted.
    var layerCursor = 0
    var readCursor = 0
    var flights: [ReadID: Flight] = [:]
    /// Of the open layers' reads.
    var ends: [ReadID: ReadEnd] = [:]
    var inFlightBytes = 0
    var isPumping = false
    var isClosed = false
    /// Reads whose deadline somebody waits for.
    var watched: Set<ReadID> = []
    var waiter: (read: ReadID, wake: OneShot<Void>)?
    var cancelledPlaces: Set<ChunkPlace> = []
    /// Chunks of which every place was cancelled.
    var deadChunks: Set<Int> = []
    var counters = FeedCounters()

    mutating func takeWaiter() -> OneShot<Void>? {
        defer { waiter = nil }
        return waiter?.wake
    }

    /// The waiter, if what it waits for has an answer.
    mutating func takeWaiterIfAnswered() -> OneShot<Void>? {
        guard let waiter, case .open = phases[waiter.read.position], ends[waiter.read] == nil
        else { return takeWaiter() }
        return nil
    }

    /// Whether the only read of these layers is on its way, or more than one; as far as the layers
    /// are still wanted.
    func areOnTheirWay(_ positions: some Sequence<Position>) -> Bool {
        var (readCount, flightCount) = (0, 0)
        for position in positions {
            guard case .open(let layer) = phases[position] else { continue }
            readCount += layer.plan.reads.count
            flightCount += flights.keys.count { $0.position == position }
        }
        return flightCount > (readCount == 1 ? 0 : 1)
    }

    mutating func end(_ position: Int) {
        if case .open(let layer) = phases[position] {
            for read in layer.plan.reads.indices {
                ends[ReadID(position: position, read: read)] = nil
            }
        }
        phases[position] = .over
    }
}

/// A layer whose reads are on their way.
final class OpenLayer: Sendable {
    let plan: LayerPlan
    let slab: Slab
    /// Of the consumer: the next read to look at, and why the layer cannot be had.
    let progress = Mutex<(nextRead: Int, failure: StoreError?)>((0, nil))

    init(_ plan: LayerPlan, _ slab: Slab) {
        self.plan = plan
        self.slab = slab
    }
}

extension FeedCounters {
    mutating func count(_ landing: LayerPlan.Landing) {
        if landing.isDirect {
            directPlaneCount += 1
            directBytes += UInt64(landing.byteCount)
        } else {
            copiedPlaneCount += 1
            copiedBytes += UInt64(landing.byteCount)
        }
    }
}
