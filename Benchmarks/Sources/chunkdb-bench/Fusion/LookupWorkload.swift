// Question: how long does it take to look up all variants of a chunk and to say which of them fits
// a new prompt best? A bad answer: more than tens of microseconds, since a prompt asks for each of
// its chunks.
//
// Headers are in memory, as they are for chunks in use; nothing of a payload is read. CFO is that
// of `FixCost`, over as many chunks in front as `--prefix` says, half of them as before.

import ArgumentParser
import AttentionFeed
import ChunkDB
import Fusion

struct LookupWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "lookup",
        abstract: "Time to find all variants of a chunk, and to compare them in a new prompt.")

    @OptionGroup var common: CommonOptions

    @Option(parsing: .upToNextOption, help: "Variants of the chunk.") var variants = [1, 5, 20]
    @Option(help: "Tokens of the chunk.") var chunkTokens = 1_024
    @Option(help: "Chunks in front of each variant.") var prefix = 5
    @Option(help: "How often each is asked.") var repeats = 2_000

    func validate() throws {
        guard !variants.isEmpty, variants.allSatisfy({ (1...100).contains($0) }),
            (16...1 << 16).contains(chunkTokens), (1...64).contains(prefix), repeats >= 1
        else { throw ValidationError("variants 1 to 100, tokens from 16, prefix 1 to 64") }
    }

    var facts: [String: OptionValue] {
        [
            "variants": .text(variants.map(String.init).joined(separator: ",")),
            "chunkTokens": .number(chunkTokens), "prefix": .number(prefix),
            "repeats": .number(common.smoke ? 10 : repeats),
        ]
    }

    /// Two layers of small planes: only headers matter here.
    private static let binding = ModelBinding(
        name: "lookup", weightsDigest: [UInt8](repeating: 5, count: 32),
        layers: [LayerGeometry](
            repeating: LayerGeometry(kvHeadCount: 1, headDimension: 8), count: 2),
        elementType: .float16, rotary: RotaryEmbedding(base: 10_000, dimension: 8))

    var writtenBytes: Int { variants.reduce(0, +) * chunkTokens * 4 * 16 }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        let options = StoreOptions(
            capacity: .mebibytes(256), segmentSize: .mebibytes(8), disk: common.disk)
        let path = workplace.directory("store")
        let (count, tokenCount, repeats) = (prefix, chunkTokens, common.smoke ? 10 : repeats)
        var generator = SeededGenerator(seed: common.seed)
        func context() -> [PrefixShare] {
            (0..<count).map { _ in
                PrefixShare(
                    key: ChunkKey(words: (generator.next(), 0, 0, 1)), tokenCount: tokenCount,
                    interMean: Float(generator.next() % 1_000) / 10)
            }
        }
        let contexts = (0..<(variants.max() ?? 1)).map { _ in context() }
        // Of the last variant's chunks the first half stands in front again, in another order.
        let front = contexts[contexts.count - 1].prefix((count + 1) / 2).reversed().map {
            PrefixEntry(key: $0.key, tokenCount: tokenCount)
        }
        let measured = variants
        let (results, traits) = try blocking {
            let db = try await ChunkDB.open(at: path, options: options)
            let space = try await db.namespace("lookup", model: Self.binding)
            var results: [BenchmarkResult] = []
            for (place, number) in measured.enumerated() {
                let tokens = [UInt32](repeating: UInt32(place), count: tokenCount)
                let key = space.key(tokens: tokens)
                let plane = [UInt8](repeating: 1, count: tokenCount * 16)
                for context in contexts.suffix(number) {
                    try await space.put(
                        key, tokens: tokens, layers: [(plane, plane), (plane, plane)],
                        context: PrefixContext(prefix: context.map(\.key), basePosition: 7),
                        recompute: RecomputeMetadata(
                            prefix: context,
                            contextImpact: ContextImpact(interMean: 1, intraMean: 2),
                            tokenScores: [Float16](repeating: 0.5, count: tokenCount),
                            deviationProfile: [Float16](repeating: 0.5, count: tokenCount)),
                        durability: .written)
                }
                var (find, cost): ([UInt64], [UInt64]) = ([], [])
                for _ in 0...repeats {
                    let start = Clocks.now
                    let found = try await space.find([key])[key] ?? []
                    let middle = Clocks.now
                    let best = found.map { FixCost($0.recompute, in: front).ratio }.min()
                    let end = Clocks.now
                    guard found.count == number, best.map({ $0 < 1 }) == true else {
                        throw BenchmarkError.wrongBytes("\(found.count) variants of \(number)")
                    }
                    find.append(middle - start)
                    cost.append(end - middle)
                }
                // The first asking reads headers.
                for (name, all) in [("find", find.dropFirst()), ("fix cost", cost.dropFirst())] {
                    var latencies = Latencies()
                    latencies.add(all)
                    results.append(
                        BenchmarkResult(
                            name: "\(name), \(number) variants", subject: "chunkdb",
                            metrics: latencies.metrics, latencyCurve: latencies.curve))
                }
            }
            let traits = db.disk
            await db.close()
            return (results, traits)
        }
        report.results += results
        report.takeTraits(traits)
    }
}
