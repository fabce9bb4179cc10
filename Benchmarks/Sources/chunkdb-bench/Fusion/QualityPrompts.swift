// The two tasks of `quality`, both on the shipped model, and what each stores of its chunks.
//
// The model's prompts hold three documents of two chunks. The first names an entity and states two
// facts; the second states two more without naming it, so only what stands in front of it says
// whose they are.
//
// `reading`: the shipped prompts. Chunks are stored as they are when computed alone.
// `order`: the same chunks in another order, in which each second chunk follows another document's
// first one, so that the answer is another value. Chunks are stored as the shipped order made them:
// what is reused without repair answers as if nothing had moved. Questions whose fact stands in a
// first chunk are left out, since their answer does not change.

import Attention
import AttentionFeed
import ChunkDB
import Foundation
import Fusion

enum QualityTask: String, CaseIterable {
    case reading
    case order
}

/// A prompt, the chunks stored for it, and what a full prefill says.
struct QualityPrompt {
    struct StoredChunk {
        let key: ChunkKey
        let rows: Range<Int>
        let planes: KVPlanes
        let variant: FoundVariant
    }
    let tokens: [UInt32]
    let answer: UInt32
    let chunks: [StoredChunk]
    let full: PrefillResult

    /// A line of the questions' file.
    struct Line: Decodable {
        var chunks: [[UInt32]]
        var question: [UInt32]
        var answer: UInt32
        var needs: String
    }

    static func lines(path: String, limit: Int) throws -> [Line] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw BenchmarkError.world("\(path): cannot be read")
        }
        let decoder = JSONDecoder()
        return try data.split(separator: UInt8(ascii: "\n")).prefix(limit).map {
            do {
                return try decoder.decode(Line.self, from: $0)
            } catch {
                throw BenchmarkError.world("\(path): not one question a line")
            }
        }
    }

    /// Places of chunks: the shipped order, that of `order`, and a third, in which the profiles of
    /// `order` are taken. In the second and third every second chunk (odd) has moved.
    static let shipped = [0, 1, 2, 3, 4, 5]
    static let moved = [2, 5, 4, 1, 0, 3]
    static let third = [4, 3, 0, 5, 2, 1]

    /// `nil` when the task has no such question.
    init?(_ line: Line, task: QualityTask, model: Model, binding: ModelBinding) throws {
        guard line.chunks.count == 6, line.question.count == 3 else {
            throw BenchmarkError.world("a question with \(line.chunks.count) chunks")
        }
        let order = task == .reading ? Self.shipped : Self.moved
        if task == .order {
            guard line.needs == "other chunk",
                let answer = Self.answer(line, chunks: order.map { line.chunks[$0] })
            else { return nil }
            self.answer = answer
        } else {
            answer = line.answer
        }
        let prompt = Laid(line, order)
        tokens = prompt.tokens
        full = try model.prefill(tokens, capturing: prompt.rows)
        // The context in which scores and profiles are taken is never the one they are used in.
        let other = Laid(line, task == .reading ? Self.moved : Self.shipped)
        let elsewhere = try model.prefill(other.tokens, capturing: other.rows)
        let beyond = Laid(line, Self.third)
        let later = task == .order ? try model.prefill(beyond.tokens) : nil
        let digest = binding.digest
        let keys = line.chunks.map {
            ChunkKey(tokens: $0, bindingDigest: digest, identity: .init())
        }
        chunks = try order.enumerated().map { place, chunk in
            let seen = elsewhere.cache.planes.rows(other.rows[other.place(of: chunk)])
            var planes: KVPlanes
            var recompute = RecomputeMetadata()
            var base = 0
            if let later {
                planes = seen
                base = other.rows[other.place(of: chunk)].lowerBound
                let before = other.order[..<other.place(of: chunk)].map { keys[$0] }
                if let captured = elsewhere.capture?.metadata(
                    of: other.place(of: chunk), behind: before)
                {
                    recompute = captured.recompute
                }
                recompute.deviationProfile = Self.profile(
                    planes, from: base, later.cache.planes.rows(beyond.rows(of: chunk)),
                    at: beyond.rows(of: chunk).lowerBound, model)
            } else {
                planes = try model.prefill(line.chunks[chunk]).cache.planes
                recompute.deviationProfile = Self.profile(
                    planes, from: 0, seen, at: other.rows(of: chunk).lowerBound, model)
            }
            return StoredChunk(
                key: keys[chunk], rows: prompt.rows[place], planes: planes,
                variant: FoundVariant(
                    id: PrefixContext(
                        prefix: recompute.prefix.map(\.key), basePosition: base
                    ).variantID,
                    bindingDigest: digest, tokenCount: line.chunks[chunk].count,
                    basePosition: base, storedBytes: 1, recompute: recompute))
        }
    }

    /// How far the reused rows are from what another prefill computed, both at its position.
    private static func profile(
        _ planes: KVPlanes, from base: Int, _ fresh: KVPlanes, at place: Int, _ model: Model
    ) -> [Float16] {
        var moved = planes
        moved.realign(from: base, to: place, rotary: model.configuration.rotary)
        return moved.deviationProfile(to: fresh)
    }

    /// Deviation of each reused row from the full prefill, all layers together: the oracle's.
    func trueDeviations(_ model: Model) -> [Float] {
        chunks.flatMap { chunk in
            Self.profile(
                chunk.planes, from: chunk.variant.basePosition,
                full.cache.planes.rows(chunk.rows), at: chunk.rows.lowerBound, model
            ).map { Float($0) }
        }
    }

    /// What share of the true deviation stands in the 15 % of rows that each score puts first.
    func deviationHeld(_ oracle: [Float]) -> [String: Double] {
        let whole = oracle.reduce(0) { $0 + Double($1) }
        let budget = recomputeBudget(ratio: 0.15, tokenCount: oracle.count)
        func held(_ scores: [Float]) -> Double {
            let first = scores.indices.sorted { scores[$0] > scores[$1] }.prefix(budget)
            return whole > 0 ? first.reduce(0) { $0 + Double(oracle[$1]) } / whole : 0
        }
        func all(_ scores: (RecomputeMetadata) -> [Float16]) -> [Float] {
            chunks.flatMap { scores($0.variant.recompute).map { Float($0) } }
        }
        var shares = ["oracle": held(oracle), "stored profile": held(all(\.deviationProfile))]
        let tokenScores = all(\.tokenScores)
        if tokenScores.count == oracle.count { shares["token scores"] = held(tokenScores) }
        return shares
    }

    /// The value of the asked attribute in the second chunk that now follows the asked entity's
    /// first one. Attributes are tokens 56 to 67, their values follow them.
    private static func answer(_ line: Line, chunks: [[UInt32]]) -> UInt32? {
        let (entity, attribute) = (line.question[1], line.question[2])
        guard let first = chunks.indices.first(where: { chunks[$0].contains(entity) }),
            first + 1 < chunks.count,
            let place = chunks[first + 1].firstIndex(of: attribute),
            place + 1 < chunks[first + 1].count
        else { return nil }
        let value = chunks[first + 1][place + 1]
        return value == line.answer ? nil : value
    }

    private struct Laid {
        let order: [Int]
        let tokens: [UInt32]
        let rows: [Range<Int>]

        init(_ line: Line, _ order: [Int]) {
            self.order = order
            tokens = order.flatMap { line.chunks[$0] } + line.question
            var start = 0
            rows = order.map { chunk in
                defer { start += line.chunks[chunk].count }
                return start..<start + line.chunks[chunk].count
            }
        }
        func place(of chunk: Int) -> Int { order.firstIndex(of: chunk)! }
        func rows(of chunk: Int) -> Range<Int> { rows[place(of: chunk)] }
    }
}
