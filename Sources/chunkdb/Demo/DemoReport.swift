import Attention
import AttentionFeed
import ChunkDB

/// `chunkdb demo --json`: one object. Times are milliseconds, rates bytes per second.
struct DemoReport: Encodable {
    /// One way of answering.
    struct Mode: Encodable {
        enum Name: String, Encodable, CaseIterable {
            /// Every token computed.
            case full
            /// Stored planes reused after realignment, nothing repaired.
            case reuse
            /// Reused, and the tokens that deviate most recomputed (CacheBlend).
            case blend
        }
        var name: Name
        /// Answers right among those known, 0 to 1; absent when none is known.
        var accuracy: Double?
        /// Tokens through all layers, all questions together; work in part counts in part.
        var tokensComputed = 0.0
        /// Payload bytes read from the store, padding included.
        var bytesRead: UInt64 = 0
        /// Median over the questions, load included.
        var timeToFirstTokenMs = 0.0
    }

    var verb = "demo"
    var modelName: String
    var corpus: String
    var questionCount: Int
    var promptTokenCount = 0
    var recomputeRatio: Double
    var checkLayer: Int
    var chunkCount = 0
    var storeSeconds = 0.0
    var engine = ""
    var isDirect = false
    /// Why the engine is not the best there is; empty when it is.
    var notes: [String] = []
    var modes = Mode.Name.allCases.map { Mode(name: $0) }
    /// Verified layers arriving through the feed.
    var readBytesPerSecond = 0.0
    /// Plain reads of the same extents from the same file, in turns with the feed.
    var deviceBytesPerSecond = 0.0

    private var times: [[UInt64]] = Mode.Name.allCases.map { _ in [] }
    private var rightCounts = Mode.Name.allCases.map { _ in 0 }
    private var knownCounts = Mode.Name.allCases.map { _ in 0 }

    private enum CodingKeys: String, CodingKey {
        case verb, modelName, corpus, questionCount, promptTokenCount, recomputeRatio, checkLayer
        case chunkCount, storeSeconds, engine, isDirect, notes, modes
        case readBytesPerSecond, deviceBytesPerSecond
    }

    init(corpus: DemoCorpus, model: Model, plan: BlendPlan) {
        let shape = model.configuration
        modelName = "Llama layout, \(shape.layerCount) layers × \(shape.hiddenSize)"
        self.corpus = corpus.path
        questionCount = corpus.prompts.count
        if case .blend(let ratio, let layer, _, _) = plan {
            recomputeRatio = ratio
            checkLayer = layer
        } else {
            recomputeRatio = 0
            checkLayer = 0
        }
    }

    mutating func describe(_ db: ChunkDB, isBuffered: Bool) {
        engine = db.disk.engine
        isDirect = db.disk.isDirect
        notes = db.disk.notes
        if isBuffered {
            notes.append("the file system refuses direct I/O: rates are the page cache's")
        }
    }

    mutating func add(
        _ name: Mode.Name, _ result: FedPrefillResult, nanoseconds: UInt64, isRight: Bool?
    ) {
        guard let index = modes.firstIndex(where: { $0.name == name }) else { return }
        let statistics = result.prefill.statistics
        modes[index].tokensComputed += statistics.tokensComputed
        modes[index].bytesRead += UInt64(result.bytesRead)
        if name == .full { promptTokenCount += statistics.promptTokenCount }
        times[index].append(nanoseconds)
        let sorted = times[index].sorted()
        modes[index].timeToFirstTokenMs = Double(sorted[sorted.count / 2]) / 1e6
        guard let isRight else { return }
        knownCounts[index] += 1
        if isRight { rightCounts[index] += 1 }
        modes[index].accuracy = Double(rightCounts[index]) / Double(knownCounts[index])
    }

    func print(on console: Console) {
        console.print(
            "\(counted(questionCount, "question")) over "
                + "\(counted(chunkCount, "stored chunk")) "
                + "(\(modelName)); the store was closed and reopened in between.")
        console.print()
        var table = Table([
            ("", .left), ("answers right", .right), ("tokens computed", .right),
            ("bytes read", .right), ("time to first token", .right),
        ])
        for mode in modes {
            table.add([
                label(mode.name),
                mode.accuracy.map { percent($0) } ?? "–",
                "\(Int(mode.tokensComputed.rounded())) (\(percent(mode.tokensComputed / full)))",
                "\(ByteCount(mode.bytesRead))",
                "\(tenths(mode.timeToFirstTokenMs)) ms",
            ])
        }
        table.print(on: console)
        console.print()
        var facts = Facts()
        facts.add("load, verified", "\(ByteCount(UInt64(readBytesPerSecond)))/s")
        facts.add("plain reads of the same", "\(ByteCount(UInt64(deviceBytesPerSecond)))/s")
        facts.add(
            "engine", "\(engine), \(isDirect ? "direct I/O" : "buffered I/O")",
            isDirect ? nil : .yellow)
        for note in notes { facts.add("note", note) }
        facts.add("storing took", "\(tenths(storeSeconds)) s")
        facts.print(on: console)
    }

    private var full: Double { max(modes[0].tokensComputed, 1) }

    private func label(_ name: Mode.Name) -> String {
        switch name {
        case .full: "full prefill"
        case .reuse: "reuse, no repair"
        case .blend: "reuse, \(percent(recomputeRatio)) recomputed after layer \(checkLayer)"
        }
    }

    private func percent(_ share: Double) -> String { "\(tenths(share * 100)) %" }

    private func tenths(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
}
