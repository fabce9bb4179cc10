import ChunkFormat
import Primitives

/// The operations that share one commit record and one flush.
struct CommitGroup {
    private(set) var operations: [QueuedOperation] = []
    /// Of each operation, one a put.
    private var outcomes: [[CommitOutcome]] = []
    private var memberCount = 0
    private var tombstoneCount = 0
    private var hasNamespaceOperation = false
    /// Whether someone waits for a flush; then all do.
    private(set) var needsFlush = false
    /// Members that the commit record may name.
    private let capacity: Int
    /// Bytes that its records may have, unless it is of one operation.
    private let byteCapacity: UInt64
    private var byteCount: UInt64 = 0
    /// Removals that are no longer wanted, by their place among the operations.
    private var calledOff: Set<Int> = []
    /// Reservations of puts that came second.
    private var surplus: [CommitMember] = []
    /// Tombstone and namespace records, known after they were placed.
    var metadataMembers: [CommitMember] = []
    var touchesJournal = false

    init(capacity: Int, byteCapacity: UInt64) {
        (self.capacity, self.byteCapacity) = (capacity, byteCapacity)
    }

    /// Adds an operation if the commit record still has room for it.
    mutating func take(_ operation: QueuedOperation, unit: UInt32) -> Bool {
        if let first = operations.first, first.isAlone || operation.isAlone { return false }
        let added: Int
        switch operation.kind {
        case .puts(let puts), .moves(let puts): added = puts.reduce(0) { $0 + $1.members.count }
        case .remove:
            // All tombstones of a group share one record.
            guard tombstoneCount < TombstoneRecord.capacity(unit: unit) else { return false }
            added = tombstoneCount == 0 ? 1 : 0
        case .namespace:
            // A namespace has the number of its commit (NSP-7): two of one group would be one.
            guard !hasNamespaceOperation else { return false }
            added = 1
        case .barrier, .free, .condense: added = 0
        }
        let bytes = operation.puts.reduce(0) { $0 &+ $1.byteCount }
        guard memberCount + added <= capacity,
            bytes == 0 || byteCount == 0 || byteCount &+ bytes <= byteCapacity
        else { return false }
        memberCount += added
        byteCount &+= bytes
        if case .remove = operation.kind { tombstoneCount += 1 }
        if case .namespace = operation.kind { hasNamespaceOperation = true }
        if operation.durability == .durable { needsFlush = true }
        operations.append(operation)
        outcomes.append(operation.puts.map { _ in .committed })
        return true
    }

    /// Asks every put whether its key is still free; the others become abandoned reservations.
    mutating func admit() {
        for (index, operation) in operations.enumerated() {
            if case .remove(_, _, _, let admit, _) = operation.kind, !admit() {
                calledOff.insert(index)
            }
            for (place, put) in operation.puts.enumerated() where !put.admit() {
                outcomes[index][place] = .alreadyPresent
                surplus += put.members.map { member in
                    var member = member
                    member.isAbandoned = true
                    return member
                }
            }
        }
    }

    /// Whether nothing is left that a commit record must say.
    var isEmpty: Bool {
        !operations.indices.contains { index in
            switch operations[index].kind {
            case .puts, .moves: outcomes[index].contains(.committed)
            case .barrier, .free, .condense: false
            case .remove: !calledOff.contains(index)
            case .namespace: true
            }
        }
    }

    var endedUse: UseContents? {
        if case .free(let contents)? = operations.first?.kind { contents } else { nil }
    }

    var condenses: Bool {
        if case .condense? = operations.first?.kind { true } else { false }
    }

    var members: [CommitMember] {
        // Tombstones first: they cover earlier commits only, so a put of this one stands (COM-12).
        var result = surplus + metadataMembers
        for (operation, outcome) in zip(operations, outcomes) {
            let isBatch = !operation.isAlone && operation.puts.count > 1
            for put in committed(operation, outcome) {
                result += put.members.map { member in
                    var member = member
                    member.isBatched = isBatch
                    return member
                }
            }
        }
        return result
    }

    private func committed(_ operation: QueuedOperation, _ outcomes: [CommitOutcome]) -> [LogPut] {
        zip(operation.puts, outcomes).filter { $1 == .committed }.map(\.0)
    }

    func tombstones(commit: UInt64) -> [Tombstone] {
        operations.enumerated().compactMap { index, operation in
            guard case .remove(let namespace, let key, let variant, _, _) = operation.kind,
                !calledOff.contains(index)
            else { return nil }
            return Tombstone(namespace: namespace, key: key, variant: variant, commit: commit)
        }
    }

    func namespaceOperations(commit: UInt64) -> [NamespaceOperation] {
        operations.compactMap { operation in
            guard case .namespace(let make, _) = operation.kind else { return nil }
            return make(commit)
        }
    }

    /// L3: removals first, since a tombstone covers earlier commits only; then callers wake.
    /// `position` is asked for by barriers alone, after all else is published.
    consuming func publish(_ position: () -> LogPosition) {
        for (index, operation) in operations.enumerated() where !calledOff.contains(index) {
            switch operation.kind {
            case .remove(_, _, _, _, let publish), .namespace(_, let publish): publish()
            case .puts, .moves, .free, .condense, .barrier: break
            }
        }
        for (operation, outcome) in zip(operations, outcomes) {
            for put in committed(operation, outcome) { put.publish() }
        }
        for operation in operations {
            if case .barrier(let reached?) = operation.kind { reached(position()) }
        }
        for (operation, outcome) in zip(operations, outcomes) {
            operation.waiter.resume(returning: .success(outcome))
        }
    }

    /// The group did not become true: keys that were admitted are free again, and all are told.
    consuming func fail(_ error: LogError) {
        for (operation, outcome) in zip(operations, outcomes) {
            for put in committed(operation, outcome) { put.withdraw() }
        }
        for operation in operations { operation.waiter.resume(returning: .failure(error)) }
    }
}
