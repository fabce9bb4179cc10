// A script: what a store is asked to do, as data, so that a failing one can be made shorter and
// printed.

import Primitives
import StoreTestSupport

enum Step: CustomStringConvertible, Sendable {
    case put(owner: UInt64, context: Int)
    case streamedPut(owner: UInt64)
    /// Layers are appended, and the writer is dropped.
    case abandon(owner: UInt64, layers: Int)
    case remove(owner: UInt64)
    case removeVariant(owner: UInt64, context: Int)
    case get(owner: UInt64, context: Int)
    case getRange(owner: UInt64, tokens: Range<Int>, layers: Range<Int>)
    case variants(owner: UInt64)
    case iterate
    /// Puts and removals at once.
    case together([UInt64], removing: [UInt64])
    case checkpoint
    case reopen
    case crash(SurvivalPattern, seed: UInt64)
    case processDeath(seed: UInt64)
    /// The n-th write, flush or read from here on fails once.
    case fault(DiskOperation, number: Int)

    var description: String {
        switch self {
        case .put(let owner, let context): "put \(owner) in context \(context)"
        case .streamedPut(let owner): "put \(owner) layer by layer"
        case .abandon(let owner, let layers): "abandon \(owner) after \(layers) layers"
        case .remove(let owner): "remove \(owner)"
        case .removeVariant(let owner, let context): "remove \(owner) in context \(context)"
        case .get(let owner, let context): "get \(owner) in context \(context)"
        case .getRange(let owner, let tokens, let layers):
            "get \(owner) tokens \(tokens) layers \(layers)"
        case .variants(let owner): "variants of \(owner)"
        case .iterate: "iterate"
        case .together(let owners, let removed): "at once: put \(owners), remove \(removed)"
        case .checkpoint: "checkpoint"
        case .reopen: "reopen"
        case .crash(let pattern, let seed): "power cut \(pattern), seed \(seed)"
        case .processDeath(let seed): "process death, seed \(seed)"
        case .fault(let operation, let number): "\(operation) \(number) from here fails"
        }
    }
}

struct Script: CustomStringConvertible, Sendable {
    var seed: UInt64
    var steps: [Step]

    static let owners = 0..<7 as Range<UInt64>
    static let contextCount = 3

    /// A script that follows from its seed.
    init(seed: UInt64) {
        var random = SeededGenerator(seed: seed &* 0x9E37 &+ 17)
        self.seed = seed
        steps = (0..<Int.random(in: 10...32, using: &random)).map { _ in Self.step(&random) }
        steps.append(.reopen)
    }

    private static func step(_ random: inout SeededGenerator) -> Step {
        let owner = owners.randomElement(using: &random)!
        let context = Int.random(in: 0..<contextCount, using: &random)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<24: return .put(owner: owner, context: context)
        case 24..<31: return .streamedPut(owner: owner)
        case 31..<36: return .abandon(owner: owner, layers: Int.random(in: 0...2, using: &random))
        case 36..<46: return .remove(owner: owner)
        case 46..<50: return .removeVariant(owner: owner, context: context)
        case 50..<58: return .get(owner: owner, context: context)
        case 58..<64:
            let bounds = [
                Int.random(in: 0...Model.tokenCount(owner), using: &random),
                Int.random(in: 0...Model.tokenCount(owner), using: &random),
            ].sorted()
            let layers = [0..<2, 0..<1, 1..<2].randomElement(using: &random)!
            return .getRange(owner: owner, tokens: bounds[0]..<bounds[1], layers: layers)
        case 64..<67: return .variants(owner: owner)
        case 67..<69: return .iterate
        case 69..<78:
            let some = owners.shuffled(using: &random)
            return .together(Array(some.prefix(4)), removing: Array(some.dropFirst(2).prefix(3)))
        case 78..<83: return .checkpoint
        case 83..<89: return .reopen
        case 89..<95:
            return .crash(
                SurvivalPattern.allCases.randomElement(using: &random)!, seed: random.next() % 1_000
            )
        case 95..<97: return .processDeath(seed: random.next() % 1_000)
        default:
            let operation = [DiskOperation.write, .flush, .read, .allocate].randomElement(
                using: &random)!
            return .fault(operation, number: Int.random(in: 1...6, using: &random))
        }
    }

    var description: String {
        (["seed \(seed):"] + steps.map { "  \($0)" }).joined(separator: "\n")
    }

    /// The same failure from fewer steps: drops what is not needed, large pieces first.
    func shrunk(_ fails: (Script) -> Bool) -> Script {
        var best = self
        var size = best.steps.count / 2
        while size > 0 {
            var start = 0
            while start < best.steps.count {
                var candidate = best
                candidate.steps.removeSubrange(start..<min(start + size, best.steps.count))
                if fails(candidate) { best = candidate } else { start += size }
            }
            size /= 2
        }
        return best
    }
}
