// The store against a dictionary. Of a key whose last operation failed or was cut off, both states
// are allowed until something durable is said about it again.

import ChunkDB
import ChunkFormat
import EngineTestSupport
import KVModel
import Primitives
import StoreTestSupport
import Synchronization

struct Disagreement: Error, CustomStringConvertible {
    let description: String
}

final class Model: Sendable {
    struct Name: Hashable {
        let owner: UInt64
        let context: Int
    }
    /// What may be there: one state when it is certain, two when an operation had no good end.
    private let states = Mutex<[Name: Set<Bool>]>([:])
    /// Opened since the last fault: damage would be a lie.
    private let hasFault = Mutex(false)

    static func tokenCount(_ owner: UInt64) -> Int { 16 + Int(owner % 3) * 13 }
    static let binding = oddBinding(layers: 2)

    static func context(_ index: Int) -> PrefixContext {
        index == 0 ? .standalone : PrefixContext(prefix: [.zero], basePosition: index * 16)
    }

    private static func chunk(_ owner: UInt64) -> TestChunk {
        TestChunk(owner, tokenCount: tokenCount(owner))
    }

    /// Every variant has bytes of its own.
    private static func planes(_ name: Name) -> [(keys: [UInt8], values: [UInt8])] {
        TestChunk(name.owner &+ 1_000 &* UInt64(name.context), tokenCount: tokenCount(name.owner))
            .layers(binding)
    }

    // MARK: Running

    /// *Throws:* what the store and the model disagree about.
    static func run(_ script: Script) throws {
        let model = Model()
        var machine = SimulatedMachine(
            seed: script.seed, capacity: .mebibytes(32), segmentSize: .kibibytes(128))
        machine.options.commitsPerCheckpoint = 9
        var db: ChunkDB?
        for (index, step) in script.steps.enumerated() {
            do {
                if db == nil { db = try model.open(machine) }
                switch step {
                case .reopen:
                    let old = db!
                    machine.run { await old.close() }
                    machine.disk.clearFailures()
                    machine = machine.afterRestart()
                    db = try model.open(machine)
                case .crash(let pattern, let seed):
                    machine = machine.afterPowerCut(Survival(pattern, seed: seed))
                    db = try model.open(machine)
                case .processDeath(let seed):
                    machine.disk = machine.disk.afterProcessDeath(seed: seed)
                    db = try model.open(machine)
                case .fault(let operation, let number):
                    model.hasFault.withLock { $0 = true }
                    machine.disk.fail(operation, number: number, errorNumber: 5)
                default:
                    let current = db!
                    try machine.run { () async throws in try await model.perform(step, current) }
                }
            } catch {
                throw Disagreement(description: "step \(index), \(step): \(error)")
            }
        }
    }

    private func open(_ machine: SimulatedMachine) throws -> ChunkDB {
        machine.disk.clearFailures()
        hasFault.withLock { $0 = false }
        let db = try machine.open()
        guard db.recovery.damages.isEmpty else {
            throw Disagreement(description: "damage: \(db.recovery.damages)")
        }
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: Self.binding)
            for owner in Script.owners {
                for context in 0..<Script.contextCount {
                    let name = Name(owner: owner, context: context)
                    let isThere = try await self.check(name, space)
                    // What recovery found is what the store goes on with.
                    self.states.withLock { $0[name] = [isThere] }
                }
            }
        }
        return db
    }

    // MARK: Steps

    private func perform(_ step: Step, _ db: ChunkDB) async throws {
        guard let space = db.namespace("acme") else {
            throw Disagreement(description: "the namespace is gone")
        }
        switch step {
        case .put(let owner, let context):
            try await put(Name(owner: owner, context: context), space)
        case .streamedPut(let owner): try await streamedPut(owner, space)
        case .abandon(let owner, let layers): try await abandon(owner, layers, space)
        case .remove(let owner): try await remove(owner, nil, space)
        case .removeVariant(let owner, let context): try await remove(owner, context, space)
        case .get(let owner, let context):
            _ = try await check(Name(owner: owner, context: context), space)
        case .getRange(let owner, let tokens, let layers):
            try await checkRange(owner, tokens, layers, space)
        case .variants(let owner): try checkVariants(owner, space)
        case .iterate: try checkAll(space)
        case .together(let owners, let removed): try await together(owners, removed, space)
        case .checkpoint:
            do { try await db.checkpoint() } catch { try forgive(error) }
        case .reopen, .crash, .processDeath, .fault: break
        }
    }

    /// An error is right only after a fault.
    private func forgive(_ error: any Error) throws {
        if error is Disagreement || !hasFault.withLock({ $0 }) { throw error }
    }

    private func put(_ name: Name, _ space: Namespace) async throws {
        let chunk = Self.chunk(name.owner)
        do {
            let outcome = try await space.put(
                chunk.key(in: space), tokens: chunk.tokens, layers: Self.planes(name),
                context: Self.context(name.context))
            try settlePut(name, outcome)
        } catch {
            try forgive(error)
            doubt(name)
        }
    }

    private func settlePut(_ name: Name, _ outcome: CommitOutcome) throws {
        let before = states.withLock { states in
            defer { states[name] = [true] }
            return states[name] ?? [false]
        }
        let isPossible = outcome == .committed ? before.contains(false) : before.contains(true)
        if !isPossible {
            throw Disagreement(description: "\(outcome), though \(name) was \(before)")
        }
    }

    private func streamedPut(_ owner: UInt64, _ space: Namespace) async throws {
        let name = Name(owner: owner, context: 0)
        let chunk = Self.chunk(owner)
        do {
            var writer = try await space.beginPut(chunk.key(in: space), tokens: chunk.tokens)
            for (layer, planes) in Self.planes(name).enumerated() {
                try await writer.append(layer: layer, keys: planes.keys, values: planes.values)
            }
            try settlePut(name, try await writer.commit())
        } catch {
            try forgive(error)
            doubt(name)
        }
    }

    private func abandon(_ owner: UInt64, _ layers: Int, _ space: Namespace) async throws {
        let chunk = Self.chunk(owner)
        do {
            var writer = try await space.beginPut(chunk.key(in: space), tokens: chunk.tokens)
            let planes = Self.planes(Name(owner: owner, context: 0))
            for layer in 0..<layers {
                try await writer.append(
                    layer: layer, keys: planes[layer].keys, values: planes[layer].values)
            }
        } catch { try forgive(error) }
    }

    private func remove(_ owner: UInt64, _ context: Int?, _ space: Namespace) async throws {
        let contexts = context.map { [$0] } ?? Array(0..<Script.contextCount)
        do {
            try await space.remove(
                Self.chunk(owner).key(in: space),
                variant: context.map { Self.context($0).variantID })
            states.withLock { states in
                for context in contexts { states[Name(owner: owner, context: context)] = [false] }
            }
        } catch {
            try forgive(error)
            for context in contexts { doubt(Name(owner: owner, context: context)) }
        }
    }

    /// After a failure the operation may have happened: in this process it has not been published,
    /// after a reopen it may be true.
    private func doubt(_ name: Name) {
        states.withLock { $0[name] = [true, false] }
    }

    private func together(_ owners: [UInt64], _ removed: [UInt64], _ space: Namespace) async throws
    {
        try await withThrowingTaskGroup { group in
            for owner in owners {
                group.addTask {
                    do {
                        try await space.put(
                            Self.chunk(owner).key(in: space), tokens: Self.chunk(owner).tokens,
                            layers: Self.planes(Name(owner: owner, context: 0)))
                    } catch { try self.forgive(error) }
                }
            }
            for owner in removed {
                group.addTask {
                    do {
                        try await space.remove(Self.chunk(owner).key(in: space))
                    } catch { try self.forgive(error) }
                }
            }
            try await group.waitForAll()
        }
        // Whatever the order was, all calls have returned: what is there now is durable.
        let isFaulty = hasFault.withLock { $0 }
        for owner in Set(owners + removed) {
            for context in 0..<Script.contextCount {
                let name = Name(owner: owner, context: context)
                if isFaulty {
                    doubt(name)
                } else {
                    let key = Self.chunk(owner).key(in: space)
                    let isThere =
                        space.contains(key, variant: Self.context(context).variantID) != nil
                    let wasPut = context == 0 && owners.contains(owner)
                    let wasRemoved = removed.contains(owner)
                    if !wasPut && wasRemoved && isThere {
                        throw Disagreement(description: "\(name) was removed and is there")
                    }
                    if wasPut && !wasRemoved && !isThere {
                        throw Disagreement(description: "\(name) was put and is not there")
                    }
                    states.withLock { $0[name] = [isThere] }
                }
            }
        }
    }

    // MARK: Checks

    /// *Returns:* whether it is there, after comparing every byte.
    @discardableResult
    private func check(_ name: Name, _ space: Namespace) async throws -> Bool {
        let allowed = states.withLock { $0[name] ?? [false] }
        let key = Self.chunk(name.owner).key(in: space)
        let variant = Self.context(name.context).variantID
        do {
            guard let data = try await space.get(key, variant: variant) else {
                if !allowed.contains(false) { throw Disagreement(description: "\(name) is lost") }
                return false
            }
            if !allowed.contains(true) { throw Disagreement(description: "\(name) came back") }
            for (layer, planes) in Self.planes(name).enumerated() {
                guard data.plane(layer: layer, .keys) == planes.keys,
                    data.plane(layer: layer, .values) == planes.values
                else { throw Disagreement(description: "\(name) has wrong bytes") }
            }
            guard data.metadata.tokens == Self.chunk(name.owner).tokens else {
                throw Disagreement(description: "\(name) has other tokens")
            }
            return true
        } catch {
            try forgive(error)
            return allowed.contains(true)
        }
    }

    private func checkRange(
        _ owner: UInt64, _ tokens: Range<Int>, _ layers: Range<Int>, _ space: Namespace
    ) async throws {
        let name = Name(owner: owner, context: 0)
        let allowed = states.withLock { $0[name] ?? [false] }
        do {
            let data = try await space.get(
                Self.chunk(owner).key(in: space), layers: layers, tokens: tokens)
            guard let data else {
                if !allowed.contains(false) { throw Disagreement(description: "\(name) is lost") }
                return
            }
            let rowBytes = Self.binding.rowBytes(layer: 0)
            let range = tokens.lowerBound * rowBytes..<tokens.upperBound * rowBytes
            let planes = Self.planes(name)
            for layer in layers {
                guard data.plane(layer: layer, .values) == Array(planes[layer].values[range]) else {
                    throw Disagreement(description: "\(name) has wrong rows")
                }
            }
        } catch { try forgive(error) }
    }

    private func checkVariants(_ owner: UInt64, _ space: Namespace) throws {
        let found = Set(space.variants(of: Self.chunk(owner).key(in: space)).map(\.variant))
        for context in 0..<Script.contextCount {
            let name = Name(owner: owner, context: context)
            let allowed = states.withLock { $0[name] ?? [false] }
            let isThere = found.contains(Self.context(context).variantID)
            if !allowed.contains(isThere) {
                throw Disagreement(description: "variants: \(name) is \(isThere), not \(allowed)")
            }
        }
    }

    private func checkAll(_ space: Namespace) throws {
        var count = 0
        var previous: ChunkKey?
        var isOrdered = true
        space.forEachEntry { entry in
            count += 1
            if let previous, previous > entry.key { isOrdered = false }
            previous = entry.key
            return true
        }
        let bounds = states.withLock { states in
            (
                states.values.count { $0 == [true] },
                states.values.count { $0.contains(true) }
            )
        }
        guard isOrdered, (bounds.0...bounds.1).contains(count), count == space.entryCount else {
            throw Disagreement(description: "\(count) entries, expected \(bounds)")
        }
    }
}
