import ArgumentParser
import AttentionFeed
import ChunkFormat
import Fusion
import KVModel
import Primitives
import SegmentLog

/// `plan PROMPTFILE`: what would be reused of a prompt, what recomputed, and why. Payloads are not
/// read, nothing is computed.
struct PlanVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "What a prompt would reuse of the store, and what it would recompute.",
        usage: "chunkdb PATH plan PROMPTFILE [--json]",
        discussion: """
            PROMPTFILE is one JSON object: "chunks" (lists of token ids, or beginnings of stored \
            keys), "question" (token ids), "mode" (concatenate, realign, prefix, parallel, \
            cacheBlend, cacheCraft, recompute); and where wanted "ratio", "alpha", "temperature", \
            "scale", "checkLayer", "gradualSpread", "namespace", "positionLimit", \
            "deadlineSeconds", "device" {"bytesPerSecond", "fixedSeconds"} and "compute" \
            {"secondsPerToken", "secondsPerPair", "fixedSeconds", "projectionShare"}. Loading is \
            weighed against computing, and times are told, when both of the last two are there.
            """)

    @OptionGroup var store: StoreArguments

    @Argument(help: "The prompt, as JSON.", completion: .file(extensions: ["json"]))
    var prompt: String

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let file = try PromptFile(path: prompt)
        let mode = try file.fusionMode()
        let (device, compute, costsAreKnown) = try file.profiles()
        let view = try store.openStore()
        let namespace = try self.namespace(of: file, in: view)
        let binding = namespace.binding
        var spans: [ChunkSpan] = []
        var row = 0
        for chunk in file.chunks {
            let (key, tokenCount) = try resolve(chunk, namespace, view)
            spans.append(ChunkSpan(key: key, rows: row..<row + tokenCount))
            row += tokenCount
        }
        let lookup = find(spans, namespace, view)
        var request = PlanRequest(
            binding: binding, tokenCount: row + file.question.count, chunks: spans,
            found: lookup.found, mode: mode, device: device, compute: compute,
            positionLimit: file.positionLimit ?? Int(UInt32.max),
            deadlineSeconds: costsAreKnown ? file.deadlineSeconds : nil)
        request.options.checkLayer = file.checkLayer
        request.options.gradualSpread = file.gradualSpread
        request.options.weighsLoading = costsAreKnown
        let plan: FusionPlan
        do throws(FusionError) {
            plan = try FusionPlan(request)
        } catch {
            throw ShellError(.usage, "\(prompt): \(error)")
        }
        let report = PlanReport(
            plan, path: view.path, prompt: prompt, namespace: namespace.name,
            found: lookup.found, damages: lookup.damages, costsAreKnown: costsAreKnown)
        if store.json {
            console.print(json: report)
        } else {
            report.print(plan, on: console)
        }
        view.warnOfDamage(on: console)
        return lookup.damages.isEmpty ? .fine : .damageFound
    }

    private func namespace(of file: PromptFile, in view: StoreView)
        throws(ShellError) -> NamespaceDescription
    {
        let all = view.listing.namespaces
        guard let name = file.namespace else {
            guard all.count == 1 else {
                throw ShellError(
                    .usage, "\(prompt): which \"namespace\"? there are \(all.count)")
            }
            return all[0]
        }
        let ids = try view.listing.namespaceIDs(name) ?? []
        guard let found = all.first(where: { ids.contains($0.id) }) else {
            throw ShellError(.notFound, "nothing describes namespace \"\(name)\" any more")
        }
        return found
    }

    private func resolve(
        _ chunk: PromptFile.Chunk, _ namespace: NamespaceDescription, _ view: StoreView
    ) throws(ShellError) -> (ChunkKey, tokenCount: Int) {
        switch chunk {
        case .tokens(let tokens):
            return (ChunkKey(tokens: tokens, binding: namespace.binding), tokens.count)
        case .key(let text):
            guard let prefix = KeyPrefix(argument: text) else {
                throw ShellError(
                    .usage, "\(prompt): \"\(text)\" is neither a list of token ids nor a key")
            }
            let found = view.listing.entries(prefix: prefix, namespaces: [namespace.id])
            let keys = Set(found.map(\.key))
            guard let entry = found.first else {
                throw ShellError(
                    .notFound,
                    "no key begins with \(prefix) in \(namespace.name); of what is not stored "
                        + "the token ids are needed")
            }
            guard keys.count == 1 else {
                throw ShellError(.usage, "\(keys.count) keys begin with \(prefix)")
            }
            return (entry.key, Int(entry.tokenCount))
        }
    }

    /// All variants whose headers open; what is damaged is as if it were not there.
    private func find(
        _ spans: [ChunkSpan], _ namespace: NamespaceDescription, _ view: StoreView
    ) -> (found: [ChunkKey: [FoundVariant]], damages: [DamageFacts]) {
        var found: [ChunkKey: [FoundVariant]] = [:]
        var damages: [DamageFacts] = []
        let unit = view.superblock.alignmentUnit
        let digest = namespace.binding.digest
        let entries = Dictionary(
            grouping: view.listing.entries(namespaces: [namespace.id]), by: \.key)
        for span in spans where found[span.key] == nil {
            var list: [FoundVariant] = []
            for entry in entries[span.key] ?? [] {
                let stored = CallerThread.wait { await view.open(entry) }
                damages += stored.damages
                guard stored.damages.isEmpty, let root = stored.root,
                    let metadata = stored.metadata,
                    !metadata.recompute.prefix.contains(where: { $0.key == span.key })
                else { continue }
                let bytes = stored.records.flatMap(\.header.extents)
                    .reduce(UInt64(0)) { $0 &+ $1.paddedBytes(unit: unit) }
                list.append(
                    FoundVariant(
                        metadata, id: entry.variant, bindingDigest: digest,
                        basePosition: Int(root.basePosition), storedBytes: bytes))
            }
            found[span.key] = list
        }
        return (found, damages)
    }
}
