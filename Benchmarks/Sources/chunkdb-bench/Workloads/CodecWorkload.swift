// Question: what do byte planes and LZ4 gain on keys and values of a trained model, and what do
// they cost a core? A bad answer: decoding slower than the device reads, or a gain that padding
// eats.
//
// One thread, no disk: planes of the demo's model, as many tokens each as its positions allow, are
// encoded and decoded over and over. A copy of the same bytes is the yardstick.

import ArgumentParser
import Attention
import AttentionFeed
import ChunkDB
import Codecs
import Foundation

struct CodecWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "codec",
        abstract: "Byte planes and LZ4 on a trained model's planes: gain, and speed of one core.")

    /// What the shell's demo ships.
    private static let demo =
        #filePath.split(separator: "/").dropLast(5)
        .reduce("") { $0 + "/" + $1 }
        + "/Sources/chunkdb/Demo/"

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: RoundLimit
    var duration: Double? { limit.duration }

    @Option(help: "config.json and model.safetensors (default: the demo's).")
    var model = demo + "model"
    @Option(help: "Whose documents are read: one question a line (default: the demo's).")
    var questions = demo + "questions.jsonl"
    @Option(help: "Prompts of which the planes are made.") var prompts = 24
    @Option(help: "Bytes of a block: 4096 to 1048576, a power of two.") var block = 65_536
    @Option(help: "How often each plane is coded in one window.") var repeats = 8
    @Option(help: "Windows of each; they take turns.") var rounds = 9

    func validate() throws {
        guard prompts > 0, repeats > 0, rounds > 0, block.nonzeroBitCount == 1,
            BytePlanes.blockShiftRange.contains(block.trailingZeroBitCount)
        else {
            throw ValidationError(
                "prompts, repeats and rounds from 1; a block of 4096 to 1048576 bytes")
        }
    }

    var facts: [String: OptionValue] {
        [
            "model": .text(model), "questions": .text(questions),
            "prompts": .number(common.smoke ? 1 : prompts), "block": .number(block),
            "repeats": .number(common.smoke ? 1 : repeats),
            "rounds": .number(common.smoke ? 1 : rounds),
        ]
    }

    var writtenBytes: Int { 0 }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        let model =
            try common.smoke
            ? TimingModel.make(layerCount: 2, hiddenSize: 64, seed: common.seed)
            : Model(directory: model)
        let planes = try prefill(model)
        let types: [ElementType] = [.bfloat16, .float16, .float32]
        let samples = try types.map { try Sample(planes, $0, block: block) }
        let roundCount = common.smoke ? 1 : rounds
        let progress = Progress(
            stepCount: windowCount(rounds: roundCount, subjects: 2 * samples.count))
        defer { progress.finish() }
        let count = common.smoke ? 1 : repeats
        let copy = Subject(name: "copy, bf16", subject: "memory") { _ in
            samples[0].copy(times: count)
        }
        var results = try interleave(
            rounds: workplace.budget.rounds(roundCount), yardstick: copy,
            subjects: samples.flatMap { sample in
                [
                    Subject(name: "decode, \(sample.type)", subject: "chunkdb") { _ in
                        try sample.decode(times: count)
                    },
                    Subject(name: "encode, \(sample.type)", subject: "chunkdb") { _ in
                        sample.encode()
                    },
                ]
            }, progress: progress)
        for (index, sample) in samples.enumerated() {
            for place in [2 * index + 1, 2 * index + 2] {
                results[place].metrics["storedBytesPerPayloadByte"] = sample.storedShare
            }
        }
        report.results += results
        report.notes += [
            "\(samples[0].planes.count) planes of "
                + "\(ByteCount(UInt64(samples[0].planes[0].raw.count))) in bf16; "
                + "bytes and rates are of the raw numbers, one thread; "
                + "a GiB by its CPU seconds is the rate of a core, whoever else is busy",
            "stored by payload: with padding to units of 4 KiB",
        ]
    }

    /// Keys and values of all layers, prompt by prompt: documents one behind the other.
    private func prefill(_ model: Model) throws -> [KVPlanes] {
        let promptCount = common.smoke ? 1 : prompts
        let tokenCount = common.smoke ? 64 : model.configuration.positionCount
        var tokens: [UInt32] = []
        for line in try QualityPrompt.lines(path: questions, limit: .max) {
            tokens += line.chunks.joined()
            if tokens.count >= promptCount * tokenCount { break }
        }
        guard tokens.count >= promptCount * tokenCount else {
            throw BenchmarkError.world("\(questions): no \(promptCount * tokenCount) tokens")
        }
        return try (0..<promptCount).map {
            let vocabulary = UInt32(model.configuration.vocabularySize)
            let prompt = tokens[$0 * tokenCount..<($0 + 1) * tokenCount].map { $0 % vocabulary }
            return try model.prefill(prompt).cache.planes
        }
    }

    /// The same planes in one element type, raw and coded.
    private final class Sample {
        let type: ElementType
        let form: BytePlanes
        let planes: [(raw: [UInt8], stored: [UInt8])]
        private var target: [UInt8]

        init(_ planes: [KVPlanes], _ type: ElementType, block: Int) throws {
            let form = BytePlanes(type, blockShift: block.trailingZeroBitCount)
            self.type = type
            self.form = form
            var coded: [(raw: [UInt8], stored: [UInt8])] = []
            for planes in planes {
                for layer in planes.layers.indices {
                    for kind in [PlaneKind.keys, .values] {
                        let raw = try planes.encoded(kind, layer: layer, as: type)
                        let stored = form.encode(raw)
                        guard try form.decode(stored, rawBytes: raw.count) == raw else {
                            throw BenchmarkError.wrongBytes("layer \(layer) \(kind) in \(type)")
                        }
                        coded.append((raw, stored))
                    }
                }
            }
            self.planes = coded
            target = [UInt8](repeating: 0, count: coded.map(\.raw.count).max() ?? 0)
        }

        private var rawBytes: Int { planes.reduce(0) { $0 + $1.raw.count } }

        /// With what padding to units adds to both.
        var storedShare: Double {
            func padded(_ bytes: [UInt8]) -> Int { (bytes.count + 4_095) / 4_096 * 4_096 }
            let stored = planes.reduce(0) { $0 + padded($1.stored) }
            let raw = planes.reduce(0) { $0 + padded($1.raw) }
            return Double(stored) / Double(raw)
        }

        func copy(times: Int) -> Work {
            for _ in 0..<times {
                for plane in planes {
                    unsafe target.withUnsafeMutableBytes { target in
                        unsafe plane.raw.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
                    }
                }
            }
            return Work(operations: times * planes.count, bytes: times * rawBytes)
        }

        func decode(times: Int) throws -> Work {
            for _ in 0..<times {
                for plane in planes {
                    try unsafe plane.stored.withUnsafeBytes { stored in
                        try unsafe target.withUnsafeMutableBytes {
                            try unsafe form.decode(
                                stored, rawBytes: plane.raw.count,
                                blocks: 0..<form.blockCount(rawBytes: plane.raw.count), into: $0)
                        }
                    }
                }
            }
            return Work(operations: times * planes.count, bytes: times * rawBytes)
        }

        func encode() -> Work {
            var storedBytes = 0
            for plane in planes { storedBytes += form.encode(plane.raw).count }
            precondition(storedBytes > 0)
            return Work(operations: planes.count, bytes: rawBytes)
        }
    }
}
