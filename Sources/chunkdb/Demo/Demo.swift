// The demo drives the whole house: attention computes chunks, the engine stores them and is
// reopened, the feed brings them back layer by layer, attention answers.

import Attention
import AttentionFeed
import ChunkDB
import Feed
import Foundation

struct Demo {
    let model: Model
    let corpus: DemoCorpus
    let plan: BlendPlan
    let console: Console

    init(modelDirectory: String, corpus: DemoCorpus, plan: BlendPlan, console: Console)
        throws(ShellError)
    {
        do throws(CheckpointError) {
            model = try Model(directory: modelDirectory)
        } catch {
            throw ShellError(.cannotOpen, "\(error)")
        }
        if case .blend(_, let checkLayer, _, _) = plan,
            checkLayer >= model.configuration.layerCount
        {
            throw ShellError(
                .usage,
                "--check-layer \(checkLayer): the model has layers 0 to "
                    + "\(model.configuration.layerCount - 1)")
        }
        self.corpus = corpus
        self.plan = plan
        self.console = console
    }

    func run(directory: String?) throws(ShellError) -> DemoReport {
        let path = directory ?? NSTemporaryDirectory() + "chunkdb-demo-\(UUID().uuidString)"
        defer { if directory == nil { try? FileManager.default.removeItem(atPath: path) } }
        var report = DemoReport(corpus: corpus, model: model, plan: plan)
        do throws(DemoFailure) {
            let isBuffered = try store(path, &report)
            let db = try open(path, buffered: isBuffered)
            defer { db.wait { await db.close() } }
            guard let namespace = db.namespace(Self.namespace) else {
                throw .store(.noSuchNamespace(Self.namespace))
            }
            report.describe(db, isBuffered: isBuffered)
            try answer(namespace, db, &report)
            try DemoBandwidth(namespace: namespace, db: db, corpus: corpus)
                .measure(&report, console)
            return report
        } catch {
            throw ShellError(.cannotOpen, "\(path): \(error)")
        }
    }

    private static let namespace = "demo"

    /// Direct I/O where the file system has it; otherwise buffered, by name, and the table says so.
    private func open(_ path: String, buffered: Bool) throws(DemoFailure) -> ChunkDB {
        var options = StoreOptions(capacity: .gibibytes(4))
        options.disk.buffered = buffered
        do throws(StoreError) {
            return try ChunkDB.openAndWait(at: path, options: options)
        } catch {
            throw .store(error)
        }
    }

    private func openFirst(_ path: String) throws(DemoFailure) -> (ChunkDB, isBuffered: Bool) {
        do throws(DemoFailure) {
            return (try open(path, buffered: false), false)
        } catch {
            guard case .store(.log(.disk(let cause))) = error, cause.code == .directIORefused
            else { throw error }
            return (try open(path, buffered: true), true)
        }
    }

    /// (a) Every chunk of every document, once. (b) Closes the store.
    private func store(_ path: String, _ report: inout DemoReport) throws(DemoFailure) -> Bool {
        let (db, isBuffered) = try openFirst(path)
        let model = model
        var tokenLists: Set<[UInt32]> = []
        for prompt in corpus.prompts { tokenLists.formUnion(prompt.chunks) }
        // Hashed order changes from run to run; the store's should not.
        let chunks = tokenLists.sorted { $0.lexicographicallyPrecedes($1) }
        var progress = Progress("storing chunks", total: UInt64(chunks.count), on: console)
        let began = console.clock.monotonicNanoseconds
        for (index, tokens) in chunks.enumerated() {
            let binding = model.binding(elementType: .float32, name: report.modelName)
            try db.wait { () async throws(DemoFailure) in
                do throws(StoreError) {
                    let namespace = try await db.namespace(Self.namespace, model: binding)
                    try await Self.ingest(tokens, in: namespace, model)
                } catch {
                    throw .store(error)
                }
            }
            progress.update(done: UInt64(index + 1))
        }
        progress.finish()
        report.chunkCount = chunks.count
        report.storeSeconds = Double(console.clock.monotonicNanoseconds - began) / 1e9
        db.wait { await db.close() }
        return isBuffered
    }

    private static func ingest(_ tokens: [UInt32], in namespace: Namespace, _ model: Model)
        async throws(StoreError)
    {
        do throws(AttentionFeedError) {
            try await namespace.ingest(tokens, with: model)
        } catch {
            switch error {
            case .store(let error): throw error
            case .attention(let error):
                throw .shape(what: "tokens of a chunk", expected: "the model's", found: "\(error)")
            }
        }
    }

    /// (c) Every question, three ways, one after the other, so that the ways share the machine's
    /// moods.
    private func answer(_ namespace: Namespace, _ db: ChunkDB, _ report: inout DemoReport)
        throws(DemoFailure)
    {
        let plans: [(DemoReport.Mode.Name, BlendPlan)] = [
            (.full, .recompute), (.reuse, .realign), (.blend, plan),
        ]
        let model = model
        let clock = console.clock
        var progress = Progress(
            "answering", total: UInt64(corpus.prompts.count), on: console)
        for (index, prompt) in corpus.prompts.enumerated() {
            for (mode, plan) in plans {
                let result = try db.wait {
                    () async throws(DemoFailure) -> (FedPrefillResult, UInt32, UInt64) in
                    do throws(AttentionFeedError) {
                        let began = clock.monotonicNanoseconds
                        let result = try await namespace.prefill(
                            chunks: prompt.chunks, question: prompt.question, plan: plan,
                            with: model)
                        let token = result.prefill.greedyToken
                        return (result, token, clock.monotonicNanoseconds - began)
                    } catch {
                        throw .feed(error)
                    }
                }
                report.add(
                    mode, result.0, nanoseconds: result.2,
                    isRight: prompt.answer.map { $0 == result.1 })
            }
            progress.update(done: UInt64(index + 1))
        }
        progress.finish()
    }
}

/// What can stop a demo.
enum DemoFailure: Error, CustomStringConvertible {
    case store(StoreError)
    case feed(AttentionFeedError)

    var description: String {
        switch self {
        case .store(let error): "\(error)"
        case .feed(let error): "\(error)"
        }
    }
}
