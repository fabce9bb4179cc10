// A put whose bytes are all on their way: what remains is to make it true, now or behind the
// caller's back (CONTRACT 2.3).

import BSkiplist
import ChunkFormat
import Logging
import Primitives
import SegmentLog

struct FinishedPut: Sendable {
    let namespace: Namespace
    let entry: CheckpointEntry
    let members: [CommitMember]
    let ticket: PutTicket
    let holds: [SegmentHold]
    let writes: InFlightWrites
    /// Whether what is there makes way.
    let isReplacing: Bool

    var key: IndexKey { IndexKey(entry.key, entry.variant) }
    private var core: StoreCore { namespace.core }

    func commit(_ durability: Durability) async throws(StoreError) -> CommitOutcome {
        try await namespace.wait(for: writes, below: 1)
        var outcome: CommitOutcome
        repeat {
            try await namespace.settle(entry.key, entry.variant)
            if isReplacing { try await makeWay() }
            outcome = try await commitStep(durability)
        } while isReplacing && outcome == .alreadyPresent && namespace.isAlive
        let concluded = try await conclude(outcome, durability)
        await core.checkpointIfDue()
        return concluded
    }

    /// Removes what has the key. Its tombstone stands in two places, so that no damage to the new
    /// record ever brings the old one back (CONTRACT D-2), nor one that was forgotten before, whose
    /// bytes may still be in the log. Our own commit comes later, and makes both as durable as it
    /// is.
    private func makeWay() async throws(StoreError) {
        let (namespace, entry) = (namespace, entry)
        await core.payBack()
        do throws(LogError) {
            try await core.log.remove(namespace.id, entry.key, entry.variant, .written) {
                namespace.unpublish(entry.key, entry.variant)
            }
        } catch {
            throw .log(error)
        }
    }

    private func commitStep(_ durability: Durability) async throws(StoreError) -> CommitOutcome {
        do throws(LogError) {
            return try await core.log.commit([step], durability)[0]
        } catch {
            throw .log(error)
        }
    }

    /// What is owed after the log's answer.
    func conclude(_ outcome: CommitOutcome, _ durability: Durability) async throws(StoreError)
        -> CommitOutcome
    {
        try namespace.requireAlive()
        var outcome = outcome
        // The one that came first may be only accepted, since it was not there at `settle`, and be
        // withdrawn, or removed, before it is as durable as this call owes: then it is our turn.
        while outcome == .alreadyPresent {
            // Its bytes are not to be pinned beside those that are there.
            ticket.end()
            let isThere = try await namespace.isPresent(
                entry.key, entry.variant, durability, pinned: entry.isPinned)
            if isThere { break }
            // One that was dropped meanwhile has no keys, and takes none.
            try namespace.requireAlive()
            try await namespace.settle(entry.key, entry.variant)
            outcome = try await commitStep(durability)
        }
        countPut(isNew: outcome == .committed)
        if outcome == .committed { await trimVariants() }
        return outcome
    }

    private func countPut(isNew: Bool) {
        let byteCount = isNew ? entry.variantDiskBytes : 0
        core.count { counters in
            counters.putCount += 1
            counters.putBytes += byteCount
        }
        namespace.usage.count { $0.putCount += 1 }
        if isNew {
            namespace.note(
                .put, entry.key, entry.variant, tokenCount: Int(entry.tokenCount),
                diskBytes: entry.variantDiskBytes)
        }
    }

    /// What is not forgotten now is when the chunk's next form is put.
    private func trimVariants() async {
        do throws(LogError) {
            try await namespace.trimVariants(of: entry.key, keeping: entry.variant)
        } catch {
            core.options.logger.notice("more forms than allowed of chunk \(entry.key): \(error)")
        }
    }

    /// What the log is asked for once all writes have completed.
    var step: LogPut {
        let (namespace, entry, key, ticket) = (namespace, entry, key, ticket)
        return LogPut(
            members, holds: holds, admit: { namespace.admit(key) },
            publish: {
                namespace.publish(entry)
                ticket.end()
            },
            withdraw: { namespace.withdraw(key) })
    }

    /// Publishes at once and commits in a task that the store's closing waits for. The store's
    /// threads run it, so that the caller's end is not its end (CONTRACT X-1).
    func commitLater() async throws(StoreError) -> CommitOutcome {
        await core.pending.wait(below: PendingPuts.countMax)
        switch try await accept() {
        case .accepted: break
        case .taken:
            // The reserved place stays dead; its writes end before the memory does.
            try await namespace.wait(for: writes, below: 1)
            ticket.end()
            if entry.isPinned {
                _ = try await namespace.retain(entry.key, entry.variant, isPinned: true)
            }
            return .alreadyPresent
        // Nobody sees the other yet, and it may still fail: "already present" is told once it is.
        case .contested: return try await commit(.written)
        }
        countPut(isNew: true)
        ticket.end()
        core.gate.enterFromInside()
        Task(executorPreference: core.environment.executor) { await finish() }
        return .committed
    }

    /// On the core, so that no group admits the key meanwhile.
    private func accept() async throws(StoreError) -> Acceptance {
        let (namespace, entry, pending) = (namespace, entry, core.pending)
        do throws(LogError) {
            return try await core.log.step {
                pending.begin(entry.location)
                let acceptance = namespace.accept(entry)
                if acceptance != .accepted { pending.end(entry.location) }
                return acceptance
            }
        } catch {
            throw .log(error)
        }
    }

    private func finish() async {
        let (namespace, entry, key, core) = (namespace, entry, key, core)
        do throws(StoreError) {
            try await namespace.wait(for: writes, below: 1)
            let step = LogPut(
                members, holds: holds, admit: { namespace.isAlive },
                publish: { core.pending.end(entry.location) }, withdraw: {})
            let outcome: CommitOutcome
            do throws(LogError) {
                outcome = try await core.log.commit([step], .written)[0]
            } catch {
                throw .log(error)
            }
            // Dropped with its namespace: not withdrawn, gone.
            if outcome == .alreadyPresent { core.pending.end(entry.location) }
            await trimVariants()
        } catch {
            namespace.takeBack(key)
            core.pending.noteWithdrawal(error)
            core.pending.end(entry.location)
            core.count { $0.withdrawnCount += 1 }
            core.options.logger.error("an accepted put was withdrawn: \(error)")
        }
        await core.checkpointIfDue()
        core.gate.leave()
    }
}

extension Namespace {
    /// *Throws:* the first failure among a put's writes, which degrades the store (CONTRACT O-4).
    func wait(for writes: InFlightWrites, below limit: Int) async throws(StoreError) {
        do throws(DiskError) {
            try await writes.wait(below: limit)
        } catch {
            if error.code == .cancelled { throw .cancelled }
            await core.log.reportWriteFailure(error)
            throw .log(.disk(error))
        }
    }

    /// Waits for the commit of a put of this key that was only accepted.
    func settle(_ key: ChunkKey, _ variant: VariantID?) async throws(StoreError) {
        for entry in stored(key, variant) { await core.pending.wait(for: entry.location) }
    }
}
