// Eviction and cleaning as one act. Nothing is forgotten entry by entry: the segment whose freeing
// loses least is chosen, the few in it that are worth it are copied to the end of the log, the rest
// is forgotten, and the segment is used again.
//
// A store that may not forget gets back what is dead, and nothing else.
//
// Copies of what is not pinned are bounded by a share of what is freed, so write amplification is
// too, whatever the policy says: 1 + movedShare / (1 − movedShare).

import BSkiplist
import ChunkFormat
import Logging
import Primitives
import SegmentLog
import Synchronization

final class Cleaner: Sendable {
    private struct State {
        var isRunning = false
        var waiters: [CheckedContinuation<Bool, Never>] = []
        /// Uses that cannot be cleaned before the next opening: a commit of theirs is damaged.
        var avoided: Set<UInt64> = []
        /// Commits so far, and the time, when it was found that there is nothing to get back.
        var fruitless: (commitCount: UInt64, seconds: UInt32)?
    }
    private let state = Mutex(State())

    /// Of a segment's bytes, those that may be copied when it is freed.
    static let movedShare = 0.2
    /// Of a segment's bytes, those that may be copied when more are pinned.
    static let movedShareMax = 0.8
    /// What is worth less than this share of everything is not copied.
    static let rankMin = 0.25
    /// Segments that are freed after one survey.
    static let victimCountMax = 8

    /// Frees segments until `byteCount` are available, or waits for who does.
    /// *Returns:* whether there is more room, for who comes first.
    /// - Parameter isAhead: nobody waits for it yet.
    func makeRoom(for byteCount: UInt64, in core: StoreCore, isAhead: Bool = false) async -> Bool {
        if !begin() { return await whenOver() }
        var hasGained = false
        do throws(LogError) {
            try await run(core, byteCount, isAhead: isAhead) { hasGained = true }
        } catch {
            core.options.logger.warning("cleaning stopped: \(error)")
        }
        end(hasGained: hasGained)
        return hasGained
    }

    /// Waits for who cleans. *Returns:* whether there is more room, for who comes first.
    func whenOver() async -> Bool {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if state.isRunning { state.waiters.append(continuation) }
                return !state.isRunning
            }
            if isOver { continuation.resume(returning: true) }
        }
    }

    /// Whether nobody else cleans until `end`.
    func begin() -> Bool {
        state.withLock { state in
            defer { state.isRunning = true }
            return !state.isRunning
        }
    }

    func end(hasGained: Bool) {
        let waiters = state.withLock { state in
            defer { (state.isRunning, state.waiters) = (false, []) }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: hasGained) }
    }

    private func run(
        _ core: StoreCore, _ byteCount: UInt64, isAhead: Bool, _ gained: () -> Void
    ) async throws(LogError) {
        // Tried in this run: what has no place to go now may have one later.
        var tried = try await endOldest(core, isAhead: isAhead)
        if !core.options.evicts { return try await getBack(byteCount, core, gained) }
        while !core.isClosed.load(ordering: .relaxed) {
            let uses = await candidates(core).filter { !tried.contains($0.useSequence) }
            if uses.isEmpty { return }
            let before = (await core.log.availableBytes, await core.log.excessBytes)
            for victim in try await victims(among: uses, core) {
                if await core.log.hasRoom(for: byteCount) { return }
                tried.insert(victim.use.useSequence)
                if try await free(victim, core, isAhead: isAhead), !victim.use.isHeld { gained() }
            }
            // What is pinned can be copied to and fro for ever, and gains nothing.
            let hasGained = await core.log.availableBytes > before.0
            if !hasGained, await core.log.excessBytes >= before.1 { return }
        }
    }

    /// Frees what is dead until there is room. *Complexity:* as `ChunkDB.compact`, once a second
    /// and state of the log in which nothing was to be had.
    private func getBack(
        _ byteCount: UInt64, _ core: StoreCore, _ gained: () -> Void
    ) async throws(LogError) {
        let moment = (commitCount: await core.log.statistics.commitCount, seconds: core.seconds)
        if state.withLock({ $0.fruitless.map { $0 == moment } ?? false }) { return }
        if await core.log.hasRoom(for: byteCount) { return }
        let before = await core.log.statistics.freedCount
        try await freeDead(core, until: byteCount)
        if await core.log.statistics.freedCount > before { return gained() }
        state.withLock { $0.fruitless = moment }
    }

    /// Keeps to the bandwidth that copies may take, until somebody waits for room.
    private func rest(after movedBytes: UInt64, _ core: StoreCore) async {
        guard let bandwidth = core.options.cleaningBandwidth?.bytes else { return }
        let seconds = Double(movedBytes) / Double(max(bandwidth, 1))
        var left = seconds / Self.restSeconds
        while left > 0, !core.isClosed.load(ordering: .relaxed),
            state.withLock({ $0.waiters.isEmpty })
        {
            await core.environment.clock.sleep(nanoseconds: UInt64(Self.restSeconds * 1e9))
            left -= 1
        }
    }

    /// A put that finds no room waits so long at most for who rests.
    private static let restSeconds = 0.002

    /// Closed uses; those that somebody reads only if there are no others, since they cannot be
    /// used again at once.
    func candidates(_ core: StoreCore) async -> [SegmentUse] {
        core.leases.endOver(at: core.now)
        let avoided = state.withLock { $0.avoided }
        let closed = await core.log.uses.filter {
            !$0.isOpen && $0.writeClass == 0 && !avoided.contains($0.useSequence)
        }
        let free = closed.filter { !$0.isHeld }
        return free.isEmpty ? closed : free
    }

    struct Victim {
        let use: SegmentUse
        let ranks: Ranks
        /// What has at least this rank is copied.
        let keptRank: Double
        /// Everything is, whatever it takes.
        var isWhole = false
        /// What cannot be copied, for want of room or since it is damaged, is forgotten; or else
        /// the segment stays.
        var forgets = true
        /// Its turn has come, whatever is in it: that says nothing of what space is worth.
        var isOldest = false

        /// The worth below which this round forgets.
        func line(in namespace: Namespace) -> Double {
            isOldest ? -.infinity : ranks.worth(atRank: keptRank, in: namespace)
        }
    }

    /// Those whose freeing loses least for each byte that it gains, the best first.
    private func victims(among uses: [SegmentUse], _ core: StoreCore) async throws(LogError)
        -> [Victim]
    {
        let ranks = await core.ranks()
        let guarded = Set(core.allNamespaces.filter(\.isWithinShare).map(\.id))
        var segments: [SegmentID: SegmentWorth] = [:]
        for use in uses { segments[use.id] = SegmentWorth() }
        var families: [(entry: CheckpointEntry, rank: Double)] = []
        func isKept(_ entry: CheckpointEntry) -> Bool {
            core.isKept(entry) || guarded.contains(entry.namespace) && !core.isOver(entry)
        }
        await core.forEachWorth { weighed in
            let (entry, rank) = (weighed.entry, ranks.rank(weighed))
            segments[entry.location.segment]?.add(entry, rank: rank, isKept: isKept(entry))
            if entry.hasSiblings { families.append((entry, rank)) }
        }
        // Whichever of its records has to go, all of a variant is copied or forgotten.
        for (entry, rank) in families {
            let siblings = try await core.readableRecord(of: entry)?.siblings ?? []
            for segment in Set(siblings.map(\.location.segment))
            where segment != entry.location.segment {
                segments[segment]?.add(entry, rank: rank, isKept: isKept(entry))
            }
        }
        return uses.compactMap { use -> (Victim, Double)? in
            let cost = segments[use.id]!.cost(
                movable: UInt64(Double(use.byteCount) * Self.movedShare), rankMin: Self.rankMin)
            guard Double(cost.movedBytes) <= Double(use.byteCount) * Self.movedShareMax else {
                return nil
            }
            let victim = Victim(use: use, ranks: ranks, keptRank: cost.keptRank)
            return (victim, cost.loss / Double(use.byteCount - cost.movedBytes))
        }
        .sorted { ($0.1, $0.0.use.useSequence) < ($1.1, $1.0.use.useSequence) }
        // One that somebody reads gives no room at once: no second is forgotten for it.
        .prefix(uses.first?.isHeld == true ? 1 : Self.victimCountMax).map(\.0)
    }

    // MARK: One segment

    /// As below, and rests afterwards if nobody waits for it.
    func free(_ victim: Victim, _ core: StoreCore, isAhead: Bool) async throws(LogError) -> Bool {
        let moved = await core.log.statistics.movedBytes
        let isFree = try await free(victim, core)
        if isAhead { await rest(after: core.log.statistics.movedBytes - moved, core) }
        return isFree
    }

    func free(_ victim: Victim, _ core: StoreCore) async throws(LogError) -> Bool {
        do throws(LogError) {
            let contents = try await core.log.contents(of: victim.use.id)
            var moving = Moving(core: core, victim: victim, elsewhere: contents.membersElsewhere)
            try await moving.collect()
            try await moving.run()
            return try await core.log.free(contents)
        } catch {
            switch error {
            case .closed, .degraded: throw error
            case .format:
                core.options.logger.warning("segment \(victim.use.id) is not cleaned: \(error)")
                state.withLock { _ = $0.avoided.insert(victim.use.useSequence) }
            default: core.options.logger.notice("segment \(victim.use.id) stays: \(error)")
            }
            return false
        }
    }
}

extension CheckpointEntry {
    var hasSiblings: Bool { flags & Self.siblingsFlag != 0 }
    var isPinned: Bool { flags & Self.pinnedFlag != 0 }
}

extension StoreCore {
    /// Reserves places for a put, in the segments of a class if it has one, and makes room for them
    /// if there is none.
    /// *Throws:* `.capacityExceeded` when nothing can be forgotten, or not fast enough.
    func reserve(_ recordSizes: [UInt64], in writeClass: UInt16) async throws(LogError)
        -> [Reservation]
    {
        var (attempt, pauseCount) = (0, 0)
        while true {
            do throws(LogError) {
                let places =
                    writeClass == 0
                    ? try await log.reserve(recordSizes)
                    : try await log.reserve(recordSizes, in: writeClass)
                await cleanIfLow()
                return places
            } catch {
                // A class begins its oldest segment again, whatever is in it.
                guard case .capacityExceeded = error, attempt < Self.attemptCountMax,
                    options.evicts || writeClass == 0
                else { throw error }
                if attempt + pauseCount == 0 {
                    count { $0.waitedPutCount += 1 }
                    leases.endOver(at: now)
                }
                attempt += 1
                // Who waits for readers looks for victims now and then only.
                if pauseCount.isMultiple(of: Self.pausesPerSurvey),
                    await makeRoom(for: recordSizes, in: writeClass)
                {
                    continue
                }
                // What was freed may still be read, and who reads or writes in all segments of a
                // class has to end first; that is soon, as a rule.
                var isHeld = writeClass != 0
                if !isHeld { isHeld = await log.hasHeldFreeSegment }
                guard pauseCount < Self.pauseCountMax, isHeld else { throw error }
                await environment.clock.sleep(nanoseconds: Self.pauseNanoseconds)
                (attempt, pauseCount) = (attempt - 1, pauseCount + 1)
            }
        }
    }

    /// *Returns:* whether there is more room, for who comes first.
    private func makeRoom(for recordSizes: [UInt64], in writeClass: UInt16) async -> Bool {
        if writeClass == 0 {
            return await cleaner.makeRoom(for: log.spaceNeeded(for: recordSizes), in: self)
        }
        // A class gets its segments from what everybody shares, until it has all.
        guard await log.isFull(writeClass) else {
            return await cleaner.makeRoom(for: 2 * log.superblock.segmentBytes, in: self)
        }
        if await log.hasHeldFreeSegment(in: writeClass) { return false }
        return await cleaner.turnOver(writeClass, self)
    }

    /// Whoever writes metadata into a store that is beyond its capacity waits until cleaning has
    /// given some of it back, if it can: removals may not outrun it.
    func payBack() async {
        var before = UInt64.max
        while await log.isBeyondSlack {
            let excess = await log.excessBytes
            guard excess < before else { return }
            before = excess
            _ = await cleaner.makeRoom(for: 0, in: self)
        }
    }

    /// Puts that others overtake again and again are told so.
    private static var attemptCountMax: Int { 16 }
    /// A put waits a fifth of a second for readers, in steps.
    private static var pauseCountMax: Int { 100 }
    private static var pausesPerSurvey: Int { 25 }
    private static var pauseNanoseconds: UInt64 { 2_000_000 }

    /// Cleans behind the callers' backs, before somebody has to wait for it.
    func cleanIfLow() async {
        let target = options.evicts ? await log.spaceKeptAhead : 0
        var isNeeded = await log.hasLongJournals
        if !isNeeded { isNeeded = await !log.hasRoom(for: target) }
        guard isNeeded, !isCleaning.exchange(true, ordering: .relaxed)
        else { return }
        gate.enterFromInside()
        Task(executorPreference: environment.executor) { [self] in
            _ = await cleaner.makeRoom(for: target, in: self, isAhead: true)
            isCleaning.store(false, ordering: .relaxed)
            gate.leave()
        }
    }
}
