// One thread's share of a window, and the questions a window can put.

enum IndexQuestion: Hashable, Sendable {
    case load, hits, misses
    case scan(Int)
    case batch(Int)
    case removes
    /// Lookups, and inserts of new keys for the rest.
    case mix(readPercent: Int)

    static let all: [Self] = [
        .load, .hits, .misses, .scan(10), .scan(100), .batch(16), .batch(128),
        .mix(readPercent: 95), .mix(readPercent: 50), .mix(readPercent: 0), .removes,
    ]

    var name: String {
        switch self {
        case .load: "load"
        case .hits: "lookup"
        case .misses: "lookup of absent keys"
        case .mix(let percent): "\(percent) % lookups, rest inserts"
        case .scan(let limit): "scan of \(limit)"
        case .batch(let count): "batch of \(count)"
        case .removes: "remove"
        }
    }

    /// A window's operations: a scan is as much work as many lookups.
    func operations(_ asked: Int, entries: Int) -> Int {
        switch self {
        case .load: entries
        case .scan(let limit): max(asked * 5 / (limit + 10), 100)
        case .removes: min(asked, entries)
        case .hits, .misses, .batch, .mix: asked
        }
    }

    /// Keys that one timed operation asks for.
    var groupSize: Int { if case .batch(let count) = self { count } else { 1 } }
}

/// How the keys' bytes lie; the routing of an ordered index depends on it.
enum KeyShape: String, CaseIterable, Sendable {
    /// Hashes.
    case uniform
    /// All share their first 8 bytes.
    case shared
    /// A thousand variants of each chunk: they share all but the last 8 bytes.
    case variants

    @inline(__always)
    func name(_ entry: Int) -> EntryName {
        let number = UInt64(truncatingIfNeeded: entry)
        switch self {
        case .uniform:
            return EntryName(high: mixed(number &* 2 &+ 1), low: mixed(number &* 2 &+ 2))
        case .shared: return EntryName(high: 7, low: mixed(number &* 2 &+ 1))
        case .variants: return EntryName(high: mixed(number / 1_000), low: mixed(number &* 2 &+ 1))
        }
    }
}

struct IndexShare: Sendable {
    var question: IndexQuestion
    var shape: KeyShape
    var turns: Range<Int>
    var entryCount: Int
    /// Differs from question to question, so that each draws, and adds, keys of its own.
    var place: Int

    struct Answer: Sendable {
        var latencies: [UInt64] = []
        var isRight = true
        /// False when the subject does not have the operation.
        var isOffered = true
    }

    /// One of so many operations is timed, so that the clock is not what is measured.
    private static let sampling = 16

    @inline(__always)
    func run(on subject: some IndexSubject) -> Answer {
        var answer = Answer()
        answer.latencies.reserveCapacity(turns.count / question.groupSize / Self.sampling + 1)
        let (cost, scale) = (Ticks.cost, Ticks.nanosecondsPerTick)
        var (turn, counted) = (turns.lowerBound, 0)
        while turn < turns.upperBound {
            let size = min(question.groupSize, turns.upperBound - turn)
            let isTimed = counted % Self.sampling == 0
            let began = isTimed ? Ticks.now : 0
            guard let isRight = ask(subject, turn, size) else {
                answer.isOffered = false
                return answer
            }
            if isTimed {
                let ticks = Ticks.now &- began
                answer.latencies.append(UInt64(Double(ticks > cost ? ticks - cost : 0) * scale))
            }
            guard isRight else {
                answer.isRight = false
                return answer
            }
            turn += size
            counted += 1
        }
        return answer
    }

    /// False for a wrong answer, nil when there is no such operation.
    @inline(__always)
    private func ask(_ subject: some IndexSubject, _ turn: Int, _ size: Int) -> Bool? {
        switch question {
        case .load: return subject.insert(shape.name(turn), UInt64(turn))
        case .hits: return isFound(subject, turn)
        case .misses: return subject.lookup(shape.name(fresh(turn))) == nil
        case .mix(let percent):
            if Int(truncatingIfNeeded: mixed(UInt64(turn) ^ 0x5EED) % 100) < percent {
                return isFound(subject, turn)
            }
            return subject.insert(shape.name(fresh(turn)), UInt64(fresh(turn)))
        case .scan(let limit):
            var sum: UInt64 = 0
            return subject.scan(from: shape.name(pick(turn)), limit: limit, sum: &sum).map {
                $0 > 0
            }
        case .batch:
            let picked = (turn..<turn + size).map { pick($0) }
            return subject.lookup(batch: picked.map { shape.name($0) }) { place, number in
                number == UInt64(picked[place])
            }
        case .removes: return subject.remove(shape.name(turn))
        }
    }

    @inline(__always)
    private func isFound(_ subject: some IndexSubject, _ turn: Int) -> Bool {
        let entry = pick(turn)
        return subject.lookup(shape.name(entry)) == UInt64(entry)
    }

    /// An entry that was loaded.
    @inline(__always)
    private func pick(_ turn: Int) -> Int {
        let drawn = mixed(UInt64(turn) &+ UInt64(place) << 40)
        return Int(drawn.multipliedFullWidth(by: UInt64(entryCount)).high)
    }

    /// One that was not.
    @inline(__always)
    private func fresh(_ turn: Int) -> Int { entryCount + (place + 1) << 32 + turn }
}

/// Keys are computed, not stored: looking one up then misses no cache of ours.
@inline(__always)
private func mixed(_ number: UInt64) -> UInt64 {
    var mixed = number &* 0x9E37_79B9_7F4A_7C15
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
}
