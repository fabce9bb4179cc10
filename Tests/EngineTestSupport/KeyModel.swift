// What a store may give back, key by key: a list of the states that a key was told to take, with
// when each call began, when it returned, and since when it is durable. "When" is a count of the
// disk's effects, so that one recorded run knows the answer for a crash after any of them.
//
// CONTRACT P-6: after recovery a key is in a state it passed through, no older than its last
// durable one. P-3: an error means "no promise", not "not there". Each key has one caller at a
// time; other keys are free to run beside it.

import Primitives
import SegmentLog
import StoreTestSupport
import Synchronization

public final class KeyModel: Sendable {
    /// A state of one key, since some call began.
    struct Claim: Sendable {
        let number: Int
        /// `nil`: not there.
        var edition: UInt64?
        var begun: Int
        var returned: Int?
        var level: Durability?
        var durableSince: Int?
    }
    public struct Ticket: Sendable {
        let owner: UInt64
        let number: Int
        let scope: Scope
    }
    /// What an operation makes durable beside itself: whatever had returned before it began.
    public struct Scope: Sendable { let claims: [(owner: UInt64, number: Int)] }

    /// What ended, and so what may be gone.
    public enum Loss: Sendable {
        case nothing, processDeath, powerCut
    }

    private struct State {
        var claims: [UInt64: [Claim]] = [:]
        /// Editions that were forgotten to make room, and the numbers of their puts. Unless they
        /// are removed, an opener that has to do without a checkpoint may find them again, also a
        /// later one.
        var forgotten: [UInt64: [(number: Int, edition: UInt64)]] = [:]
        var nextNumber = 1
        /// Accepted puts may have been withdrawn since a fault.
        var hasFault = false

        func stillForgotten(_ owner: UInt64, _ sure: [Claim]) -> Set<UInt64> {
            let removed = sure.filter { $0.edition == nil }.map(\.number).max() ?? 0
            return Set((forgotten[owner] ?? []).filter { $0.number > removed }.map(\.edition))
        }
    }
    private let state = Mutex(State())
    private let clock: @Sendable () -> Int

    /// - Parameter clock: effects so far.
    public init(clock: @escaping @Sendable () -> Int) { self.clock = clock }

    /// From now on nothing is concluded from `accepted` alone.
    public func noteFault() { state.withLock { $0.hasFault = true } }

    // MARK: Calls

    /// A put of an edition, or a removal, begins.
    public func begin(_ owner: UInt64, _ edition: UInt64?) -> Ticket {
        let now = clock()
        let scope = scope()
        return state.withLock { state in
            let number = state.nextNumber
            state.nextNumber += 1
            state.claims[owner, default: []].append(
                Claim(number: number, edition: edition, begun: now))
            return Ticket(owner: owner, number: number, scope: scope)
        }
    }

    public func succeed(_ ticket: Ticket, _ level: Durability) {
        let now = clock()
        change(ticket.owner, ticket.number) { claim in
            (claim.returned, claim.level) = (now, level)
            if level == .durable { claim.durableSince = now }
        }
        if level == .durable { settle(ticket.scope, at: now) }
    }

    /// There was nothing to change: the key never was in that state.
    public func withdraw(_ ticket: Ticket) {
        state.withLock { $0.claims[ticket.owner]?.removeAll { $0.number == ticket.number } }
    }

    /// The store forgot the key to make room. After a crash it may be there again (CONTRACT E-1).
    public func evicted(_ owner: UInt64) {
        let now = clock()
        state.withLock { state in
            let number = state.nextNumber
            state.nextNumber += 1
            for claim in state.claims[owner] ?? [] {
                guard let edition = claim.edition else { continue }
                state.forgotten[owner, default: []].append((claim.number, edition))
            }
            state.claims[owner, default: []].append(
                Claim(number: number, edition: nil, begun: now))
        }
    }

    /// The put found its key taken: what was there has the level now, whatever edition it is.
    public func alreadyPresent(_ ticket: Ticket, _ level: Durability) {
        let now = clock()
        state.withLock { state in
            var claims = state.claims[ticket.owner]!
            claims.removeAll { $0.number == ticket.number }
            // Clear only when the last call on the key had a good end.
            if let last = claims.indices.last, claims[last].returned != nil,
                claims[last].edition != nil, level == .durable
            {
                claims[last].durableSince = claims[last].durableSince ?? now
            }
            state.claims[ticket.owner] = claims
        }
        if level == .durable { settle(ticket.scope, at: now) }
    }

    /// Operations that returned and that a flush from now on covers.
    public func scope(withAccepted: Bool = false) -> Scope {
        state.withLock { state in
            Scope(
                claims: state.claims.flatMap { owner, claims in
                    claims.filter { claim in
                        claim.durableSince == nil
                            && (claim.level.map { $0 > .accepted || withAccepted } ?? false)
                    }.map { (owner, $0.number) }
                })
        }
    }

    /// A barrier, or a durable operation, that began when the scope was taken has returned.
    public func settle(_ scope: Scope) { settle(scope, at: clock()) }

    private func settle(_ scope: Scope, at now: Int) {
        for (owner, number) in scope.claims {
            change(owner, number) { $0.durableSince = $0.durableSince ?? now }
        }
    }

    private func change(_ owner: UInt64, _ number: Int, _ body: (inout Claim) -> Void) {
        state.withLock { state in
            guard let index = state.claims[owner]?.firstIndex(where: { $0.number == number })
            else { return }
            body(&state.claims[owner]![index])
        }
    }

    public var owners: Set<UInt64> { state.withLock { Set($0.claims.keys) } }

    /// Recovery decided: these are the states since the disk was made, and they stay (CONTRACT
    /// O-2). After a power cut what is found is durable; after the death of a process it is so
    /// since it was opened, which flushes it (RCV-1).
    /// - Parameter forgotten: as an earlier model said.
    public func adopt(
        _ found: [UInt64: UInt64?], forgotten: [UInt64: Set<UInt64>] = [:], durableSince: Int = 0
    ) {
        state.withLock { state in
            state.hasFault = false
            defer {
                for (owner, editions) in forgotten {
                    state.forgotten[owner] = editions.map { (state.nextNumber, $0) }
                }
            }
            for (owner, edition) in found {
                let number = state.nextNumber
                state.nextNumber += 1
                state.claims[owner] = [
                    Claim(
                        number: number, edition: edition, begun: 0, returned: 0, level: .durable,
                        durableSince: durableSince)
                ]
            }
        }
    }

    // MARK: Answers

    /// The editions (`nil`: none) in which a key may be found.
    /// - Parameter count: effects that happened; `nil` for all.
    public func allowed(
        _ owner: UInt64, after loss: Loss, afterEffects count: Int? = nil
    ) -> Set<UInt64?> {
        let count = count ?? .max
        return state.withLock { state in
            let claims = (state.claims[owner] ?? []).filter { $0.begun <= count }
            let isSure = { (claim: Claim) -> Bool in
                if let since = claim.durableSince, since <= count { return true }
                guard loss != .powerCut, let returned = claim.returned, returned <= count,
                    let level = claim.level
                else { return false }
                return level > .accepted || (loss == .nothing && !state.hasFault)
            }
            var result: Set<UInt64?> = Set(claims.map(\.edition)).union([nil])
            if let last = claims.lastIndex(where: isSure) {
                result = Set(claims[last...].map(\.edition))
            }
            guard result.contains(nil) else { return result }
            return result.union(state.stillForgotten(owner, claims.filter(isSure)).map { $0 })
        }
    }

    /// What was forgotten of a key, and not removed durably since.
    public func forgotten(_ owner: UInt64) -> Set<UInt64> {
        state.withLock { state in
            state.stillForgotten(
                owner, (state.claims[owner] ?? []).filter { $0.durableSince != nil })
        }
    }

    /// Keys that must be there after a power cut: how much the model has to say.
    public func promisedCount(afterEffects count: Int) -> Int {
        let owners = state.withLock { Array($0.claims.keys) }
        return owners.count {
            !allowed($0, after: .powerCut, afterEffects: count).contains(nil)
        }
    }

    /// Keys of which a call was told "durable" when more than `count` effects had happened.
    public func promises(after count: Int) -> [UInt64] {
        state.withLock { state in
            state.claims.filter { $0.value.contains { ($0.durableSince ?? 0) > count } }
                .keys.sorted()
        }
    }
}
