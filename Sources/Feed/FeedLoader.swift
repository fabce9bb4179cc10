// What is asked of the disk, and when. Reads go out layer by layer, those of the first layers in
// front, as long as the bytes on their way are below a bound; every completion sends the next. So a
// consumer that computes for a while finds the layers ahead complete, and the disk's own queue
// stays short enough for others.
//
// A read that is on its way holds its slab until its completion, whatever becomes of its layer, its
// feed or its store (CONTRACT X-1). One that is not can be cancelled: then it is never submitted.

import BlockIO
import ChunkDB
import Primitives
import Synchronization

/// *Concurrency:* one consumer; anybody may cancel; completions come from the disk's threads. No
/// lock is held while the disk is called.
final class FeedLoader: Sendable {
    typealias Position = FeedState.Position

    /// What became of a wait.
    enum WaitEnd {
        /// Look again: something has ended, or the layer is no longer wanted.
        case look
        case cancelled
        case closed
    }

    private let state: Mutex<FeedState>
    private let namespace: Namespace
    private let options: FeedOptions
    private let shape: FeedShape
    /// The layers that are read, ascending.
    private let layers: [Int]
    private let submissionOrder: [Position]
    private let firstCount: Int

    init(_ namespace: Namespace, _ shape: FeedShape, _ layers: [Int], _ options: FeedOptions) {
        self.namespace = namespace
        self.shape = shape
        self.layers = layers
        self.options = options
        var order: [Position] = []
        for layer in options.firstLayers {
            if let position = layers.firstIndex(of: layer), !order.contains(position) {
                order.append(position)
            }
        }
        firstCount = order.count
        let first = Set(order)
        submissionOrder = order + layers.indices.filter { !first.contains($0) }
        state = Mutex(FeedState(phases: layers.map { _ in .waiting }))
    }

    var counters: FeedCounters { state.withLock { $0.counters } }

    // MARK: The consumer's side

    /// Opens the layers that may be on their way now. *Returns:* the next to be handed over; `nil`
    /// at the end.
    /// *Throws:* `.noRoom` when that one has no memory yet.
    func advance(isStart: Bool = false) throws(StoreError) -> Position? {
        let (next, wanted) = state.withLock { state -> (Position, [Position]) in
            while state.next < layers.count, case .over = state.phases[state.next] {
                state.next += 1
            }
            let ahead = min(max(options.layersAhead, 1), layers.count)
            let limit = min(state.next + ahead + (isStart ? 0 : 1), layers.count)
            let wanted = submissionOrder.enumerated().filter {
                $0.offset < firstCount || $0.element < limit
            }.map(\.element).filter {
                if case .waiting = state.phases[$0] { true } else { false }
            }
            return (state.next, wanted)
        }
        var refused: Int?
        for position in wanted {
            // Memory is taken here, never by a completion.
            let plan = LayerPlan(shape, layer: layers[position])
            guard let slab = takeSlab(plan.byteCount) else {
                // What is waited for has the memory that comes back before all others.
                if position == next {
                    refused = plan.byteCount
                    break
                }
                continue
            }
            state.withLock { state in
                guard case .waiting = state.phases[position] else { return }
                state.phases[position] = .open(OpenLayer(plan, slab))
            }
            // The device has something to do while the next is laid out.
            pump()
        }
        pump()
        if let refused { throw .noRoom(byteCount: refused) }
        return next < layers.count ? next : nil
    }

    private func takeSlab(_ byteCount: Int) -> Slab? {
        guard let source = options.slabs else { return namespace.takeSlab(byteCount: byteCount) }
        return source.takeSlab(byteCount: byteCount)
    }

    /// `nil` once it is over.
    func layer(_ position: Position) -> OpenLayer? {
        state.withLock { state in
            guard case .open(let layer) = state.phases[position] else { return nil }
            return layer
        }
    }

    /// How a read ended, and the chunks that nobody wants; `nil` while it has not.
    func end(of read: Int, in position: Position) -> (end: FeedState.ReadEnd, dead: Set<Int>)? {
        state.withLock { state in
            state.ends[FeedState.ReadID(position: position, read: read)].map {
                ($0, state.deadChunks)
            }
        }
    }

    /// Open layers behind this one.
    func openLayers(after position: Position) -> [(position: Position, layer: OpenLayer)] {
        state.withLock { state in
            state.phases.indices.dropFirst(position + 1).compactMap {
                if case .open(let layer) = state.phases[$0] { ($0, layer) } else { nil }
            }
        }
    }

    /// Waits for the end of a read, or of its layer, or for something else to verify.
    func wait(for read: Int, in position: Position) async -> WaitEnd {
        let id = FeedState.ReadID(position: position, read: read)
        let wake = OneShot<Void>()
        enum Wait {
            case look, closed, wait
            case watch(since: UInt64?)
        }
        let hasDeadline = deadline != nil
        let wait = state.withLock { state -> Wait in
            guard case .open = state.phases[position], state.ends[id] == nil else {
                return .look
            }
            let flight = state.flights[id]
            if flight == nil, state.isClosed { return .closed }
            state.waiter = (id, wake)
            guard hasDeadline, state.watched.insert(id).inserted else { return .wait }
            return .watch(since: flight?.since)
        }
        switch wait {
        case .look: return .look
        case .closed: return .closed
        case .wait: break
        case .watch(let since): watch(id, since: since)
        }
        return await wake.value() == nil ? .cancelled : .look
    }

    /// Takes the layer away from the loader. *Returns:* what was cancelled of it; `nil` when all
    /// of it was, by now.
    func handOver(_ position: Position, _ landings: [LayerPlan.Landing]) -> Set<ChunkPlace>? {
        state.withLock { state -> Set<ChunkPlace>? in
            guard case .open = state.phases[position] else { return nil }
            state.end(position)
            for landing in landings {
                let place = ChunkPlace(prompt: landing.prompt, chunk: landing.chunk)
                if !state.cancelledPlaces.contains(place) { state.counters.count(landing) }
            }
            return state.cancelledPlaces
        }
    }

    // MARK: Cancelling

    func cancelAll() { cancel(layers.indices) }

    func cancel(layers numbers: Set<Int>) {
        cancel(layers.indices.filter { numbers.contains(layers[$0]) })
    }

    /// Reads that are on their way keep the memory of their layers.
    func cancel(_ positions: some Sequence<Position>) {
        // Slabs go back to their pool after the lock.
        let (waiter, slabs) = state.withLock { state in
            var slabs: [Slab] = []
            for position in positions {
                if case .open(let layer) = state.phases[position] {
                    slabs.append(layer.slab)
                    let unsent = layer.plan.reads.indices.filter {
                        let id = FeedState.ReadID(position: position, read: $0)
                        return state.ends[id] == nil && state.flights[id] == nil
                    }
                    state.counters.skippedReadCount += UInt64(unsent.count)
                }
                state.end(position)
            }
            return (state.takeWaiter(), slabs)
        }
        withExtendedLifetime(slabs) {}
        pump()
        waiter?.give(())
    }

    func cancel(chunk: Int, prompt: Int) {
        let place = ChunkPlace(prompt: prompt, chunk: chunk)
        guard shape.prompts.indices.contains(prompt),
            shape.prompts[prompt].indices.indices.contains(chunk)
        else { return }
        let index = shape.prompts[prompt].indices[chunk]
        let waiter = state.withLock { state in
            state.cancelledPlaces.insert(place)
            let isWanted = shape.prompts.enumerated().contains { prompt, found in
                found.indices.enumerated().contains {
                    $0.element == index
                        && !state.cancelledPlaces.contains(
                            ChunkPlace(prompt: prompt, chunk: $0.offset))
                }
            }
            if !isWanted { state.deadChunks.insert(index) }
            return state.takeWaiter()
        }
        pump()
        waiter?.give(())
    }

    // MARK: The disk's side

    /// Submits what may go out. One thread at a time, so that the order stays; whoever changes the
    /// state meanwhile is seen by the next round.
    private func pump() {
        let isMine = state.withLock { state in
            defer { state.isPumping = true }
            return !state.isPumping
        }
        if !isMine { return }
        while true {
            let (batch, waiter) = state.withLock { state in
                let batch = take(&state)
                if batch.isEmpty { state.isPumping = false }
                return (batch, state.takeWaiterIfAnswered())
            }
            waiter?.give(())
            if batch.isEmpty { return }
            if !namespace.submitReads(batch.map(\.request)) { withdraw(batch.map(\.id)) }
        }
    }

    /// The reads that are due, in order.
    private func take(_ state: inout FeedState) -> [(id: FeedState.ReadID, request: IORequest)] {
        var batch: [(id: FeedState.ReadID, request: IORequest)] = []
        let now = options.readDeadline == nil ? 0 : namespace.monotonicNanoseconds
        while state.layerCursor < submissionOrder.count, !state.isClosed {
            // Somebody waits for the first layers. Devices share themselves among all they have,
            // and some tell of many reads only when the last is done. One late read holds up none.
            if state.layerCursor >= firstCount,
                state.areOnTheirWay(submissionOrder.prefix(firstCount))
            {
                break
            }
            let position = submissionOrder[state.layerCursor]
            if case .waiting = state.phases[position] { break }
            guard case .open(let layer) = state.phases[position],
                state.readCursor < layer.plan.reads.count
            else {
                state.layerCursor += 1
                state.readCursor = 0
                continue
            }
            let number = state.readCursor
            let read = layer.plan.reads[number]
            let id = FeedState.ReadID(position: position, read: number)
            if read.parts.allSatisfy({ state.deadChunks.contains($0.chunk) }) {
                state.ends[id] = .skipped
                state.counters.skippedReadCount += 1
                state.readCursor += 1
                continue
            }
            guard
                state.flights.isEmpty
                    || state.inFlightBytes + read.byteCount <= options.inFlightBytes
            else { break }
            state.flights[id] = FeedState.Flight(
                slab: layer.slab, byteCount: read.byteCount, layer: layer.plan.layer,
                part: read.parts[0], since: now)
            state.inFlightBytes += read.byteCount
            state.counters.readCount += 1
            state.counters.readBytes += UInt64(read.byteCount)
            state.readCursor += 1
            batch.append((id, request(read, id, layer.slab)))
        }
        return batch
    }

    private func request(_ read: LayerPlan.Read, _ id: FeedState.ReadID, _ slab: Slab) -> IORequest
    {
        let extent = read.parts[0].extent
        let slices = read.places.map {
            slab.slice.slice(offset: $0.lowerBound, byteCount: $0.count)
        }
        let isFirst = submissionOrder.prefix(firstCount).contains(id.position)
        return IORequest(
            .read, file: extent.file, offset: read.fileOffset,
            slice: extent.keeping(slices[0]), furtherSlices: Array(slices.dropFirst()),
            lane: isFirst ? .urgent : .bulk
        ) { [self] in finish(id, $0) }
    }

    private func finish(_ id: FeedState.ReadID, _ result: Result<Int, DiskError>) {
        letGo(of: id)
        let late = state.withLock { state -> StalledRead? in
            guard let flight = state.flights.removeValue(forKey: id) else { return nil }
            state.inFlightBytes -= flight.byteCount
            if case .open = state.phases[id.position] { state.ends[id] = .transferred(result) }
            return stall(flight, &state)
        }
        if let late { options.stallObserver?(late) }
        pump()
        // Who waits verifies meanwhile what comes for later layers.
        let isWorth = options.verification == .verified
        state.withLock { isWorth ? $0.takeWaiter() : $0.takeWaiterIfAnswered() }?.give(())
    }

    /// A read's hold on its slab, which may be the last, ends after the lock and before anybody can
    /// see that the read did: who has a layer has the last hold.
    private func letGo(of id: FeedState.ReadID) {
        let slab = state.withLock { state -> Slab? in
            defer { state.flights[id]?.slab = nil }
            return state.flights[id]?.slab
        }
        withExtendedLifetime(slab) {}
    }

    /// The store was closed: these were never submitted.
    private func withdraw(_ ids: [FeedState.ReadID]) {
        let (waiter, flights) = state.withLock { state in
            var flights: [FeedState.Flight] = []
            state.isClosed = true
            for id in ids {
                guard let flight = state.flights.removeValue(forKey: id) else { continue }
                flights.append(flight)
                state.inFlightBytes -= flight.byteCount
                state.counters.readCount -= 1
                state.counters.readBytes -= UInt64(flight.byteCount)
            }
            return (state.takeWaiter(), flights)
        }
        withExtendedLifetime(flights) {}
        waiter?.give(())
    }

    // MARK: Deadlines

    private var deadline: UInt64? {
        options.readDeadline.map { UInt64(min(max($0 / .nanoseconds(1), 1), 1e18)) }
    }

    /// Looks at a read again when its time is over.
    private func watch(_ id: FeedState.ReadID, since: UInt64?) {
        guard let deadline else { return }
        let now = namespace.monotonicNanoseconds
        let due = (since ?? now) &+ deadline
        namespace.after(nanoseconds: due > now ? due - now : 1) { [weak self] in
            guard let self else { return }
            enum Look {
                case done
                case tell(StalledRead)
                case again(since: UInt64?)
            }
            let look = state.withLock { state -> Look in
                let flight = state.flights[id]
                if let flight, let late = stall(flight, &state) {
                    state.flights[id]!.isReported = true
                    return .tell(late)
                }
                let isAwaited = state.waiter?.read == id && flight?.isReported != true
                if isAwaited { return .again(since: flight?.since) }
                state.watched.remove(id)
                return .done
            }
            switch look {
            case .done: break
            case .tell(let late): options.stallObserver?(late)
            // It was submitted late, or waits to be.
            case .again(let since): watch(id, since: since)
            }
        }
    }

    /// Counts a flight that is late and was not reported yet.
    private func stall(_ flight: FeedState.Flight, _ state: inout FeedState) -> StalledRead? {
        guard let deadline, !flight.isReported else { return nil }
        let now = namespace.monotonicNanoseconds
        guard now > flight.since, now - flight.since >= deadline else { return nil }
        state.counters.stalledCount += 1
        let chunk = shape.chunks[flight.part.chunk]
        return StalledRead(
            layer: flight.layer, key: chunk.entry.key, variant: chunk.entry.variant,
            offset: flight.part.extent.fileOffset + UInt64(flight.part.blockOffset),
            byteCount: flight.byteCount, nanoseconds: now - flight.since)
    }
}
