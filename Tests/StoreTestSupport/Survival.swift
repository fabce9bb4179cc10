// What a power cut leaves of the things that no flush had covered.

import Primitives

/// How much of a list of uncertain things survives a crash.
public enum SurvivalPattern: String, Sendable, CaseIterable {
    case all, none, one, allButOne, random
    /// Writes only: the first sectors of each, and the old bytes after them.
    case tornPrefix
    /// Writes only: any of the sectors of each.
    case tornInside
    /// Writes only: random bytes in any of the sectors of each.
    case garbage

    /// Which of `count` things survive, whole or in part.
    func survivors(of count: Int, _ generator: inout SeededGenerator) -> [Bool] {
        guard count > 0 else { return [] }
        let chosen = Int.random(in: 0..<count, using: &generator)
        return (0..<count).map { index in
            switch self {
            case .all, .tornPrefix, .tornInside, .garbage: true
            case .none: false
            case .one: index == chosen
            case .allButOne: index != chosen
            case .random: Bool.random(using: &generator)
            }
        }
    }
}

/// A pattern each for contents, file lengths and names; they do not depend on each other.
public struct Survival: Sendable, Equatable, CustomStringConvertible {
    public var data: SurvivalPattern
    public var lengths: SurvivalPattern
    public var names: SurvivalPattern
    public var seed: UInt64
    /// The newest write of the medium keeps its first sectors, this many; `data` is for the others.
    public var newestWriteSectors: Int?

    public init(
        data: SurvivalPattern, lengths: SurvivalPattern, names: SurvivalPattern, seed: UInt64
    ) {
        (self.data, self.lengths, self.names, self.seed) = (data, lengths, names, seed)
    }

    /// The newest write torn behind its first `sectors`, beside a pattern for everything else.
    public init(tearingNewestWriteAt sectors: Int, others pattern: SurvivalPattern, seed: UInt64) {
        self.init(pattern, seed: seed)
        newestWriteSectors = sectors
    }

    /// One pattern for everything.
    public init(_ pattern: SurvivalPattern, seed: UInt64 = 0) {
        self.init(data: pattern, lengths: pattern, names: pattern, seed: seed)
    }

    /// Any combination, drawn from the seed.
    public static func drawn(seed: UInt64) -> Survival {
        var generator = SeededGenerator(seed: seed)
        let pick = { SurvivalPattern.allCases.randomElement(using: &generator)! }
        return Survival(data: pick(), lengths: pick(), names: pick(), seed: seed)
    }

    /// Every pattern once, with lengths and names that keep most files findable, and the cases
    /// where length and content part ways.
    public static func menu(seed: UInt64) -> [Survival] {
        let same = SurvivalPattern.allCases.map { Survival($0, seed: seed) }
        return same + [
            Survival(data: .none, lengths: .all, names: .all, seed: seed),
            Survival(data: .all, lengths: .none, names: .all, seed: seed),
            Survival(data: .garbage, lengths: .random, names: .all, seed: seed),
            Survival(data: .random, lengths: .all, names: .random, seed: seed),
        ]
    }

    public var description: String {
        "data \(data), lengths \(lengths), names \(names), seed \(seed)"
            + (newestWriteSectors.map { ", newest write torn at \($0)" } ?? "")
    }
}
