// Question: how close do verified reads of single layers and of whole chunks come to plain random
// reads of the same size and depth? A bad answer: below 0.90 of the device for layers at depth 8,
// verification that costs throughput, or pages of the store in the page cache.

import ArgumentParser
import ChunkDB

struct ReadWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "read",
        abstract: "Random reads of layers and chunks, against plain random reads.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: RoundLimit
    var duration: Double? { limit.duration }

    @Option(help: "Whose geometry: \(Preset.allCases.map(\.rawValue).joined(separator: ", ")).")
    var model: Preset = .llama3_8b

    @Option(help: "Tokens of a chunk (default: the model's).")
    var tokens: Int?

    @Option(help: "Chunks in the store.")
    var chunks = 64

    @Option(help: "Layers asked for at once: concurrent tasks, and transfers of the yardstick.")
    var depth = 8

    @Option(help: "Caller threads that the layers' tasks are divided among.")
    var threads = 1

    @Option(help: "Zipf's exponent of which chunk is read, also by the device; 0 for all alike.")
    var skew = 0.0

    @Option(help: "Bytes of one window.")
    var window = ByteSize(512 << 20)

    @Option(help: "Windows of each; they take turns.")
    var rounds = 9

    func validate() throws {
        guard (1...256).contains(depth), (1...depth).contains(threads),
            (0...4).contains(skew), rounds > 0, chunks > 0,
            (1...65_536).contains(tokens ?? 1)
        else {
            throw ValidationError(
                "depth is 1 to 256, and at least as much as threads; "
                    + "at least one token, chunk and round, and a skew of 0 to 4"
            )
        }
    }

    private var geometry: ChunkGeometry {
        if common.smoke { return Preset.tiny.geometry }
        var geometry = model.geometry
        if let tokens { geometry.tokenCount = tokens }
        return geometry
    }
    private var fame: Popularity { Popularity(count: chunkCount, exponent: skew) }
    private var chunkCount: Int { common.smoke ? 8 : chunks }
    private var windowBytes: Int { common.smoke ? 1 << 19 : window.byteCount }
    private var roundCount: Int { common.smoke ? 2 : rounds }

    var facts: [String: OptionValue] {
        [
            "model": .text(geometry.name), "tokens": .number(geometry.tokenCount),
            "chunks": .number(chunkCount), "depth": .number(depth),
            "threads": .number(threads), "skew": .text("\(skew)"),
            "windowBytes": .number(windowBytes), "rounds": .number(roundCount),
        ]
    }

    var writtenBytes: Int { 3 * chunkCount * geometry.chunkBytes }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        let storeBytes = chunkCount * geometry.chunkBytes
        try workplace.requireSpace(3 * storeBytes)
        let store = try BenchStore(
            at: workplace.directory("store"), source: ChunkSource(geometry, seed: common.seed),
            chunkCount: chunkCount, common: common)
        defer { try? store.close() }
        _ = try store.put(0..<chunkCount, writers: 1)
        report.takeTraits(store.db.disk)
        let progress = Progress(
            stepCount: windowCount(rounds: roundCount, subjects: 4)
                + windowCount(rounds: roundCount, subjects: 1))
        defer { progress.finish() }

        let layers = try loop(
            "layers", geometry.layerBytes, depth, spareLanes: depth,
            operations: chunkCount * geometry.layerCount, workplace)
        defer { try? layers.close() }
        let name = "layer \(geometry.layerText)"
        let reads = LayerReads(
            store: store, depth: depth, threads: threads, fame: fame, windowBytes: windowBytes,
            seed: common.seed)
        report.results += try interleave(
            rounds: workplace.budget.rounds(roundCount, share: 0.8),
            yardstick: yardstick(layers, name),
            subjects: [
                digestedReads(layers, name),
                reads.subject(name, stream: 2, reads.get(.verified)),
                reads.subject("\(name), unverified", stream: 3, reads.get(.unverified)),
                reads.subject("\(name), own memory", stream: 4, locatedReads(store)),
            ], progress: progress)

        let wholes = try loop("chunks", geometry.chunkBytes, 1, operations: chunkCount, workplace)
        defer { try? wholes.close() }
        report.results += try interleave(
            rounds: workplace.budget.rounds(roundCount),
            yardstick: yardstick(wholes, "chunk \(geometry.sizeText)"),
            subjects: [chunkReads(store)], progress: progress)

        report.addPageCache(
            "page cache after reads", subject: "chunkdb", below: store.path,
            moved: Int(clamping: store.db.diskCounters.readBytes))
        report.notes += [
            "layer: `get(key, layers: l..<l+1)`, key and value plane side by side, "
                + "\(depth) tasks on \(threads) caller thread(s); checked against what was put",
            "own memory: `locate`, then one read into memory the caller keeps; verified there",
            "device + digest: the yardstick with as much memory again, so that one thread digests "
                + "what came while `depth` reads are in hand",
            "chunk: `get(key)`, one at a time; the device reads as many bytes in one request",
        ]
    }

    // MARK: Who is asked

    private func loop(
        _ name: String, _ bytes: Int, _ depth: Int, spareLanes: Int = 0, operations: Int,
        _ workplace: Workplace
    ) throws -> DeviceLoop {
        let loop = try DeviceLoop(
            directory: workplace.directory("device-\(name)"), operationBytes: bytes, depth: depth,
            fileBytes: operations * DeviceLoop.wholeUnits(bytes), spareLanes: spareLanes,
            options: common.disk)
        try loop.fill()
        return loop
    }

    private func yardstick(_ loop: DeviceLoop, _ name: String) -> Subject {
        let count = max(windowBytes / loop.operationBytes, 1)
        return Subject(name: name, subject: "device") { turn in
            var generator = SeededGenerator(common.seed, turn, stream: 1)
            return try loop.run(.read, at: offsets(loop, count, &generator))
        }
    }

    /// Of chunks as famous as those that the store is asked for.
    private func offsets(_ loop: DeviceLoop, _ count: Int, _ generator: inout SeededGenerator)
        -> [UInt64]
    {
        let perChunk = loop.fileBytes / loop.operationBytes / chunkCount
        let chunks = fame.ranks(count, using: &generator)
        return chunks.map { chunk in
            let place = chunk * perChunk + Int.random(in: 0..<perChunk, using: &generator)
            return UInt64(place * loop.operationBytes)
        }
    }

    /// What is left of the yardstick when its bytes are digested on another thread.
    private func digestedReads(_ loop: DeviceLoop, _ name: String) -> Subject {
        let count = max(windowBytes / loop.operationBytes, 1)
        return Subject(name: "\(name) + digest", subject: "device") { turn in
            var generator = SeededGenerator(common.seed, turn, stream: 7)
            return try loop.run(.readAndDigest, at: offsets(loop, count, &generator))
        }
    }

    /// `locate`, and one read of both planes into the caller's memory, verified there.
    private func locatedReads(_ store: BenchStore) -> LayerReads.Read {
        let kept = (0..<depth).map { _ in
            LayerMemory(
                store.namespace.disk.makeBuffer(
                    byteCount: 2 * DeviceLoop.wholeUnits(geometry.planeBytes)))
        }
        return { wanted, lane, work in
            let memory = kept[lane]
            let start = Clocks.now
            guard
                let found = try await store.namespace.locate(
                    wanted.key, layers: wanted.layer..<wanted.layer + 1),
                let first = found.extents.first
            else { throw BenchmarkError.wrongBytes("chunk \(wanted.chunk): a miss") }
            let located = Clocks.now
            // What `Disk.startReads` does, with the time at which the disk called back.
            let (result, arrived) = await withCheckedContinuation { continuation in
                store.namespace.disk.submit(
                    IORequest(
                        .read, file: first.file, offset: first.fileOffset,
                        slice: memory.buffer.slice
                    ) { continuation.resume(returning: ($0, Clocks.now)) })
            }
            let resumed = Clocks.now
            guard try result.get() == memory.buffer.byteCount else {
                throw BenchmarkError.wrongBytes("chunk \(wanted.chunk): a short read")
            }
            try memory.verify(found)
            work.add("locate", located - start)
            work.add("transfer", arrived - located)
            work.add("resume", resumed - arrived)
            work.add("verify", Clocks.now - resumed)
        }
    }

    private func chunkReads(_ store: BenchStore) -> Subject {
        let count = max(windowBytes / geometry.chunkBytes, 1)
        let (geometry, fame) = (geometry, fame)
        return Subject(name: "chunk \(geometry.sizeText)", subject: "chunkdb") { round in
            var generator = SeededGenerator(common.seed, round, stream: 5)
            let wanted = fame.ranks(count, using: &generator)
            return try blocking {
                var work = Work()
                for chunk in wanted {
                    let key = store.key(chunk)
                    let start = Clocks.now
                    guard let data = try await store.namespace.get(key) else {
                        throw BenchmarkError.wrongBytes("chunk \(chunk): a miss")
                    }
                    work.latencies.append(Clocks.now - start)
                    try store.check(data, chunk: chunk)
                    work.operations += 1
                    work.bytes += geometry.chunkBytes
                }
                return work
            }
        }
    }
}
