// Puts that become true together (CONTRACT P-4): the chunks of one prompt, or none of them.

import ChunkFormat
import KVModel
import SegmentLog

/// Puts that are there all together after a crash, or not at all.
///
/// Chunks are written as ever, each by a `ChunkWriter` of its own; the batch takes the writers
/// instead of their being committed one by one. A batch that ends without `commit` leaves nothing
/// but dead bytes. Removals are facts at once and for good (D-1), so a batch has none.
public struct Batch: ~Copyable {
    private let core: StoreCore
    private var puts: [FinishedPut] = []

    init(_ core: StoreCore) { self.core = core }

    /// Adds a chunk whose layers have all been appended.
    ///
    /// *Throws:* `.shape` when layers are missing, when the chunk belongs to another store, when it
    /// would replace another, or when the batch has its variant already; the batch is then as it
    /// was, and the writer is gone.
    public mutating func put(
        _ writer: consuming ChunkWriter, recompute: RecomputeMetadata? = nil,
        detail: VariantDetail = VariantDetail()
    ) throws(StoreError) {
        try core.gate.enter()
        defer { core.gate.leave() }
        guard writer.namespace.core === core else {
            throw .shape(what: "chunk of a batch", expected: "this store", found: "another")
        }
        guard !writer.isReplacing else {
            throw .shape(
                what: "put of a batch", expected: "one that replaces nothing", found: "one that may"
            )
        }
        let put = try writer.finish(recompute, detail)
        let isThere = puts.contains { $0.namespace === put.namespace && $0.key == put.key }
        guard !isThere else {
            throw .shape(
                what: "variants of a batch", expected: "distinct", found: "\(put.entry.key)")
        }
        puts.append(put)
    }

    /// Makes all chunks visible, in one step of the log.
    ///
    /// *Durability:* as asked for when this returns, or better; `.accepted` counts as `.written`.
    /// *Returns:* one outcome a chunk, in the order they were added; what was there before keeps
    /// its bytes (P-5), and the others are committed all the same.
    /// *Throws:* `.log(.batchTooLarge)` when one commit cannot name all records; nothing happened.
    /// `.cancelled` when the caller's task is; the commit then goes on unwatched, all or nothing.
    public consuming func commit(durability: Durability = .durable)
        async throws(StoreError) -> [CommitOutcome]
    {
        let (core, puts) = (core, puts)
        let durability = max(durability, .written)
        return try await core.carryOut { () async throws(StoreError) -> [CommitOutcome] in
            if puts.isEmpty { return [] }
            for put in puts {
                try await put.namespace.wait(for: put.writes, below: 1)
                try await put.namespace.settle(put.entry.key, put.entry.variant)
            }
            let outcomes: [CommitOutcome]
            do throws(LogError) {
                outcomes = try await core.log.commit(puts.map(\.step), durability)
            } catch {
                throw .log(error)
            }
            var concluded: [CommitOutcome] = []
            for (put, outcome) in zip(puts, outcomes) {
                concluded.append(try await put.conclude(outcome, durability))
            }
            await core.checkpointIfDue()
            return concluded
        }
    }
}

extension ChunkDB {
    /// An empty batch.
    public func batch() -> Batch { Batch(core) }
}
