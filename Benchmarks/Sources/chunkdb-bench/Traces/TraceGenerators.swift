// The six traces, each for one thing that caches fail at. All but the last: prompts of 5 to 15
// distinct chunks in the order they were drawn, one a second, chunks of 256 tokens unless said
// otherwise.

import ChunkDB
import Foundation

/// What a trace is drawn from.
struct TraceScale: Sendable {
    var chunkCount = 10_000
    var promptCount = 30_000
    var queryCount = 1_000
    var seed: UInt64 = 1
    static let smoke = TraceScale(chunkCount: 400, promptCount: 400, queryCount: 100)
    static let promptLengths = 5...15
    static let chunkTokens = 256
}

enum TraceKind: String, CaseIterable, Sendable {
    case zipf, drift, scan, tenants, mixed
    case documents = "documents-14"

    func generate(_ scale: TraceScale) -> Trace {
        let place = Self.allCases.firstIndex(of: self) ?? 0
        var generator = SeededGenerator(seed: scale.seed &* 31 &+ UInt64(place))
        switch self {
        case .zipf: return Self.zipf(name: rawValue, scale, &generator)
        case .drift: return Self.drift(scale, &generator)
        case .scan: return Self.scan(scale, &generator)
        case .tenants: return Self.tenants(scale, &generator)
        case .mixed: return Self.mixed(scale, &generator)
        case .documents: return Self.documents(scale, &generator)
        }
    }

    /// Prompts are appended one by one; chunk numbers stand for popularity ranks until mapped.
    private struct Writer {
        var trace: Trace
        var promptEnds: [Int] = []

        init(name: String, objects: [TraceObject]) {
            trace = Trace(name: name)
            trace.objects = objects
        }
        mutating func add(_ prompt: [Int]) {
            let seconds = UInt32(promptEnds.count)
            trace.requests += prompt.map { TraceRequest(object: UInt32($0), seconds: seconds) }
            promptEnds.append(trace.requests.count)
        }
        func finished() -> Trace {
            var trace = trace
            trace.setTenths(promptEnds: promptEnds)
            return trace
        }
    }

    private static func popularity(_ count: Int) -> Popularity {
        Popularity(
            count: count, topShare: 0.05, weight: 0.6, promptLengths: TraceScale.promptLengths)
    }

    private static func chunks(_ count: Int) -> [TraceObject] {
        [TraceObject](
            repeating: TraceObject(tokenCount: TraceScale.chunkTokens), count: count)
    }

    /// Popularity that never changes.
    private static func zipf(
        name: String, _ scale: TraceScale, _ generator: inout SeededGenerator
    ) -> Trace {
        let popularity = popularity(scale.chunkCount)
        var writer = Writer(name: name, objects: chunks(scale.chunkCount))
        for _ in 0..<scale.promptCount {
            writer.add(popularity.prompt(lengths: TraceScale.promptLengths, using: &generator))
        }
        return writer.finished()
    }

    /// Every tenth prompt one of the top 5 % changes places with any other: with 10,000 chunks and
    /// 30,000 prompts the popular ones are exchanged six times over.
    private static func drift(_ scale: TraceScale, _ generator: inout SeededGenerator) -> Trace {
        let popularity = popularity(scale.chunkCount)
        var chunkAtRank = Array(0..<scale.chunkCount)
        var writer = Writer(name: "drift", objects: chunks(scale.chunkCount))
        for prompt in 0..<scale.promptCount {
            if prompt % 10 == 9 {
                let top = generator.integer(in: 0...max(scale.chunkCount / 20 - 1, 0))
                chunkAtRank.swapAt(top, generator.integer(in: 0...scale.chunkCount - 1))
            }
            writer.add(
                popularity.prompt(lengths: TraceScale.promptLengths, using: &generator)
                    .map { chunkAtRank[$0] })
        }
        return writer.finished()
    }

    /// Zipf, and ten times in the run something reads through many chunks, none of which comes
    /// back: ten after every ordinary prompt, so that half of the run has a scan beside it.
    private static func scan(_ scale: TraceScale, _ generator: inout SeededGenerator) -> Trace {
        let popularity = popularity(scale.chunkCount)
        let scanLength = scale.promptCount / 20 * 10
        var writer = Writer(
            name: "scan", objects: chunks(scale.chunkCount + 10 * scanLength))
        writer.trace.returningObjectCount = scale.chunkCount
        var next = scale.chunkCount
        for prompt in 0..<scale.promptCount {
            var chunks = popularity.prompt(lengths: TraceScale.promptLengths, using: &generator)
            let scanCount = prompt * 10 / scale.promptCount + 1
            let end = scale.chunkCount + scanCount * scanLength
            let some = min(10, end - next)
            chunks += next..<next + some
            next += some
            writer.add(chunks)
        }
        return writer.finished()
    }

    /// Eight tenants with a corpus each; every fifteenth of the run another one sends three
    /// quarters of all prompts.
    private static func tenants(_ scale: TraceScale, _ generator: inout SeededGenerator) -> Trace {
        let tenantCount = 8
        let corpus = scale.chunkCount / tenantCount
        let popularity = popularity(corpus)
        var writer = Writer(name: "tenants", objects: chunks(corpus * tenantCount))
        for prompt in 0..<scale.promptCount {
            let loud = prompt * 15 / scale.promptCount * 3 % tenantCount
            let tenant =
                generator.unit() < 0.75 ? loud : generator.integer(in: 0...tenantCount - 1)
            writer.add(
                popularity.prompt(lengths: TraceScale.promptLengths, using: &generator)
                    .map { tenant * corpus + $0 })
        }
        return writer.finished()
    }

    /// Zipf over chunks of 64 to 2,048 tokens, of three codecs (1, 1/2, 1/4 of the bytes), that
    /// cost a quarter to four times an ordinary token to compute and are repaired by 0 to 60 %.
    /// These are spread evenly over neighbouring ranks (an additive recurrence in four dimensions,
    /// Roberts 2018), or else the few most popular chunks would decide the result by chance.
    private static func mixed(_ scale: TraceScale, _ generator: inout SeededGenerator) -> Trace {
        let popularity = popularity(scale.chunkCount)
        // Powers of 1/1.1673, the root of x⁵ = x + 1.
        let strides = [0.856_674_88, 0.733_891_86, 0.628_706_72, 0.538_597_26]
        let starts = strides.map { _ in generator.unit() }
        let objects = (0..<scale.chunkCount).map { rank in
            func share(_ dimension: Int) -> Double {
                let sum = starts[dimension] + Double(rank) * strides[dimension]
                return sum - sum.rounded(.down)
            }
            var object = TraceObject(
                tokenCount: Int(64 * exp2(5 * share(0))),
                bytesPerToken: TraceObject.bytesPerToken >> Int(3 * share(1)),
                costFactor: 0.25 * exp2(4 * share(2)))
            object.fixCost = Float(0.6 * share(3))
            return object
        }
        var writer = Writer(name: "mixed", objects: objects)
        for _ in 0..<scale.promptCount {
            writer.add(popularity.prompt(lengths: TraceScale.promptLengths, using: &generator))
        }
        return writer.finished()
    }

    /// LMCache#4663: each query brings all of 14 documents (four chunks of 512 tokens each) in
    /// another order and a chunk of question and answer that never comes back; every tenth stores
    /// one document, repaired in its new order, as surplus variants. The gain must not decay as
    /// these pile up. A query takes ten seconds.
    private static func documents(
        _ scale: TraceScale, _ generator: inout SeededGenerator
    ) -> Trace {
        let documentCount = 14
        let piecesEach = 4
        let pieceCount = documentCount * piecesEach
        var piece = TraceObject(tokenCount: 512)
        piece.fixCost = 0.15
        var trace = Trace(name: "documents-14")
        trace.objects = [TraceObject](repeating: piece, count: pieceCount)
        var surplus = piece
        surplus.isSurplus = true
        var promptEnds: [Int] = []
        for query in 0..<scale.queryCount {
            let seconds = UInt32(10 * query)
            func ask(_ object: Int) {
                trace.requests.append(TraceRequest(object: UInt32(object), seconds: seconds))
            }
            var order = Array(0..<documentCount)
            generator.shuffle(&order)
            for document in order {
                for place in 0..<piecesEach { ask(document * piecesEach + place) }
            }
            trace.objects.append(TraceObject(tokenCount: 320))
            ask(trace.objects.count - 1)
            for _ in 0..<piecesEach where query % 10 == 9 {
                trace.objects.append(surplus)
                ask(trace.objects.count - 1)
            }
            promptEnds.append(trace.requests.count)
        }
        trace.setTenths(promptEnds: promptEnds)
        return trace
    }
}
