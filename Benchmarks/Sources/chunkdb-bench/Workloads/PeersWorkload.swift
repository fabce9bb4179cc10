// Question: what is gained over what one could take instead: a file for every chunk, as serving
// engines do, RocksDB, LMDB? A bad answer: a file with direct I/O, the honest opponent, puts or
// gets as fast for no more CPU.

import ArgumentParser
import ChunkDB
import Foundation

struct PeersWorkload: Workload {
    static let configuration = CommandConfiguration(
        commandName: "peers",
        abstract: "Puts, gets, layers, removals and openings, beside files, RocksDB and LMDB.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: RoundLimit
    var duration: Double? { limit.duration }

    @Option(
        parsing: .upToNextOption,
        help: "Whose geometry: \(Preset.allCases.map(\.rawValue).joined(separator: ", ")).")
    var model: [Preset] = [.llama3_1b, .llama3_8b]

    @Option(help: "Chunks of a prompt, whose layers are read together.")
    var prompt = 8

    @Option(help: "Bytes of one window.")
    var window = ByteSize(128 << 20)

    @Option(help: "Windows of each; they take turns.")
    var rounds = 7

    func validate() throws {
        guard rounds > 0, !model.isEmpty, (1...256).contains(prompt) else {
            throw ValidationError("at least one round and geometry; 1 to 256 chunks of a prompt")
        }
    }

    private var models: [Preset] { common.smoke ? [.tiny] : model }
    private var windowBytes: Int { common.smoke ? 1 << 19 : window.byteCount }
    private var roundCount: Int { common.smoke ? 2 : rounds }

    var facts: [String: OptionValue] {
        [
            "models": .text(models.map(\.rawValue).joined(separator: ",")),
            "prompt": .number(prompt), "windowBytes": .number(windowBytes),
            "rounds": .number(roundCount),
        ]
    }

    /// Who is asked here: what is not installed is not.
    static var subjects: Set<String> {
        var names: Set<String> = ["device", "chunkdb", "files, direct", "files, buffered"]
        if Fio() != nil { names.insert("fio") }
        for kind in ForeignObjectStore.Kind.allCases where kind.isBuilt {
            names.insert(kind.rawValue)
        }
        return names
    }

    /// The yardstick and everybody else put in windows of their own; two files more are read; fio
    /// has two of four windows each, and one to put into.
    var writtenBytes: Int {
        let foreign = ForeignObjectStore.Kind.allCases.count { $0.isBuilt }
        let (stores, rounds) = (3 + foreign, roundCount + 1)
        let windows =
            roundCount * (stores + 1) + 2 + stores * rounds + 2 * rounds
            + (Fio() == nil ? 0 : 8 + rounds)
        return models.reduce(0) { sum, model in
            let bytes = model.geometry.chunkBytes
            return sum + windows * max(windowBytes / bytes, 1) * bytes
        }
    }

    func measure(in workplace: Workplace, _ report: inout BenchmarkReport) throws {
        let counted = Self.subjects.count - 1
        let storeCount = counted - (Fio() == nil ? 0 : 1)
        let progress = Progress(
            stepCount: models.count
                * (3 * windowCount(rounds: roundCount, subjects: counted)
                    + 2
                    * windowCount(
                        rounds: roundCount, subjects: storeCount, hasYardstick: false)))
        defer { progress.finish() }
        for (place, model) in models.enumerated() {
            var run = try PeersRun(
                model.geometry, workplace, common, promptCount: prompt, roundCount: roundCount,
                objectsPerWindow: max(windowBytes / model.geometry.chunkBytes, 1)
            )
            try run.measure(&report, progress, share: 1 / Double(models.count - place))
        }
        for kind in ForeignObjectStore.Kind.allCases where !kind.isBuilt {
            report.notes.append("SKIPPED: \(kind.rawValue); install \(kind.package) and build anew")
        }
        report.notes.append(Fio.note)
        report.notes += [
            "put: one after the other, from aligned memory (chunkdb in one `append` of all "
                + "layers), durable on return; files: draft, flush, rename, and a flush of the "
                + "directory",
            "get: whole objects, one at a time; chunkdb verifies what it read, the others do not",
            "layer of \(prompt): one layer of a prompt's chunks, for who waits for all of them; "
                + "RocksDB has no partial read",
            "what goes through the page cache is read cold: it is dropped before each window",
        ]
    }
}

/// One geometry, asked of everybody.
private struct PeersRun {
    let geometry: ChunkGeometry
    let common: CommonOptions
    let promptCount: Int
    /// Of those planned, as many as the puts had time for.
    private var roundCount: Int
    /// Of the time that is left, for what comes next.
    private var share = 1.0
    private let budget: TimeBudget
    let objectsPerWindow: Int
    let stores: [any ObjectStore]
    let fio = Fio()
    /// Memory comes from here; moves nothing.
    let disk: any Disk
    /// Gone once everybody was asked.
    let place: String

    var objectCount: Int { (roundCount + 1) * objectsPerWindow }

    init(
        _ geometry: ChunkGeometry, _ workplace: Workplace, _ common: CommonOptions,
        promptCount: Int, roundCount: Int, objectsPerWindow: Int
    ) throws {
        self.geometry = geometry
        self.common = common
        self.promptCount = promptCount
        self.roundCount = roundCount
        budget = workplace.budget
        self.objectsPerWindow = objectsPerWindow
        let objectCount = (roundCount + 1) * objectsPerWindow
        let foreign = ForeignObjectStore.Kind.allCases.filter(\.isBuilt)
        let byteCount = objectCount * geometry.chunkBytes
        // The yardstick writes each of its windows elsewhere; RocksDB's log stands beside its
        // blobs for a while.
        try workplace.requireSpace(byteCount * (8 + 3 * foreign.count))
        let place = workplace.directory(geometry.name)
        self.place = place
        try FileManager.default.createDirectory(
            atPath: place, withIntermediateDirectories: false)
        disk = try openDisk(
            directory: place + "/memory", create: true, readOnly: false, options: common.disk)
        let objects = ObjectSource(geometry, seed: common.seed, disk: disk)
        let (disk, seed) = (disk, common.seed)
        stores =
            [
                ChunkObjectStore(
                    at: place + "/chunkdb",
                    ChunkSource(geometry, seed: seed, memory: [.aligned]),
                    options: BenchStore.options(geometry, chunkCount: objectCount, common)),
                FileObjectStore(
                    at: place + "/direct", objects,
                    isDirect: !common.buffered, disk: disk),
                FileObjectStore(
                    at: place + "/buffered", objects, isDirect: false,
                    disk: disk),
            ]
            + foreign.map {
                ForeignObjectStore(
                    $0, at: place + "/\($0)", objects,
                    capacity: 2 * byteCount + 1 << 30, disk: disk)
            }
    }

    /// `share`: of the time that is left, for this geometry.
    mutating func measure(
        _ report: inout BenchmarkReport, _ progress: Progress, share: Double
    ) throws {
        report.takeTraits(disk.traits)
        for store in stores { try store.open() }
        self.share = share * 0.3
        report.results += try puts(progress)
        // The others ask for what was put.
        roundCount = Int(report.results.last?.metrics["windowCount"] ?? 0)
        self.share = share * 0.4
        for store in stores {
            try store.close()
            try store.open()
        }
        report.results += try gets(progress)
        report.results += try layers(progress)
        self.share = share * 0.3
        report.results += try openings(progress)
        report.results += try stores.map(space)
        report.results += try removals(progress)
        for store in stores { try store.close() }
        try blocking { [disk] in await disk.shutdown() }
        if !common.keep { try FileManager.default.removeItem(atPath: place) }
    }

    // MARK: Questions

    private func puts(_ progress: Progress) throws -> [BenchmarkResult] {
        let name = "put \(geometry.sizeText)"
        let turns = roundCount * (stores.count + 1) + 2
        let loop = try loop("put", geometry.chunkBytes, 1, objects: turns * objectsPerWindow)
        defer { try? loop.close() }
        let yardstick = Subject(name: name, subject: "device") { turn in
            let first = (turn + 1) * objectsPerWindow
            return try loop.run(
                .durableWrite,
                at: (first..<first + objectsPerWindow).map { UInt64($0 * loop.operationBytes) })
        }
        let subjects = stores.map { store in
            Subject(name: name, subject: store.name) { round in
                let first = (round + 1) * objectsPerWindow
                return try timed(first..<first + objectsPerWindow, geometry.chunkBytes) {
                    try store.put($0)
                }
            }
        }
        return try ask(
            yardstick, [try fioWrites(name)] + subjects, progress)
    }

    private func gets(_ progress: Progress) throws -> [BenchmarkResult] {
        let name = "get \(geometry.sizeText)"
        let loop = try loop("get", geometry.chunkBytes, 1, objects: objectCount)
        defer { try? loop.close() }
        try loop.fill()
        let subjects = stores.map { store in
            Subject(name: name, subject: store.name) { round in
                try store.forgetCached()
                var generator = generator(round)
                let wanted = (0..<objectsPerWindow).map { _ in
                    Int.random(in: 0..<objectCount, using: &generator)
                }
                return try timed(wanted, geometry.chunkBytes) { try store.get($0) }
            }
        }
        return try ask(
            reads(loop, name, objectsPerWindow),
            [try fioReads(name, geometry.chunkBytes, 1)] + subjects, progress)
    }

    private func layers(_ progress: Progress) throws -> [BenchmarkResult] {
        let name = "layer \(geometry.layerText) of \(promptCount)"
        let loop = try loop(
            "layer", geometry.layerBytes, promptCount, objects: objectCount * geometry.layerCount)
        defer { try? loop.close() }
        try loop.fill()
        // A whole window of them would be short: a prompt's layers one after the other.
        let promptBytes = promptCount * geometry.layerBytes
        let prompts = max(objectsPerWindow * geometry.chunkBytes / promptBytes, 1)
        let subjects = stores.map { store in
            Subject(name: name, subject: store.name) { round in
                try store.forgetCached()
                var generator = generator(round)
                let wanted = (0..<prompts).map { _ in
                    (
                        layer: Int.random(in: 0..<geometry.layerCount, using: &generator),
                        objects: (0..<promptCount).map { _ in
                            Int.random(in: 0..<objectCount, using: &generator)
                        }
                    )
                }
                return try timed(wanted, promptBytes) {
                    try store.getLayer($0.layer, of: $0.objects)
                }
            }
        }
        return try ask(
            reads(loop, name, prompts * promptCount),
            [try fioReads(name, geometry.layerBytes, promptCount)] + subjects, progress)
    }

    private func openings(_ progress: Progress) throws -> [BenchmarkResult] {
        let subjects = stores.map { store in
            Subject(name: "open \(objectCount) × \(geometry.sizeText)", subject: store.name) { _ in
                try store.close()
                return try timed(0..<1, 0) { _ in try store.open() }
            }
        }
        return try interleave(
            rounds: budget.rounds(roundCount, share: share), yardstick: nil, subjects: subjects,
            progress: progress)
    }

    private func removals(_ progress: Progress) throws -> [BenchmarkResult] {
        let subjects = stores.map { store in
            Subject(name: "remove \(geometry.sizeText)", subject: store.name) { round in
                let first = (round + 1) * objectsPerWindow
                return try timed(first..<first + objectsPerWindow, 0) { try store.remove($0) }
            }
        }
        return try interleave(
            rounds: budget.rounds(roundCount, share: share), yardstick: nil, subjects: subjects,
            progress: progress)
    }

    /// Bytes on disk for a byte put, of a store that was opened again.
    private func space(_ store: any ObjectStore) throws -> BenchmarkResult {
        let allocated = PageCache.allocatedBytes(below: store.path)
        let payload = objectCount * geometry.chunkBytes
        return BenchmarkResult(
            name: "space \(geometry.sizeText)", subject: store.name,
            metrics: ["storedBytesPerPayloadByte": Double(allocated) / Double(payload)])
    }

    // MARK: How

    private func ask(_ yardstick: Subject, _ subjects: [Subject?], _ progress: Progress) throws
        -> [BenchmarkResult]
    {
        let subjects = subjects.compactMap { $0 }
        return try interleave(
            rounds: budget.rounds(roundCount, share: share), yardstick: yardstick,
            subjects: subjects, ours: subjects.firstIndex { $0.subject == "chunkdb" },
            progress: progress)
    }

    private func loop(_ name: String, _ bytes: Int, _ depth: Int, objects: Int) throws
        -> DeviceLoop
    {
        try DeviceLoop(
            directory: place + "/device-\(name)",
            operationBytes: bytes, depth: depth, fileBytes: objects * bytes, options: common.disk)
    }

    private func reads(_ loop: DeviceLoop, _ name: String, _ count: Int) -> Subject {
        Subject(name: name, subject: "device") { turn in
            var generator = generator(turn)
            return try loop.run(.read, at: loop.randomOffsets(count, &generator))
        }
    }

    /// `nil` without fio.
    private func fioReads(_ name: String, _ bytes: Int, _ depth: Int) throws -> Subject? {
        guard let fio else { return nil }
        let folder = place + "/fio-read-\(bytes)"
        let loop = try DeviceLoop(
            directory: folder, operationBytes: bytes, depth: 1,
            fileBytes: max(4 * objectsPerWindow * geometry.chunkBytes, bytes),
            options: common.disk)
        try loop.fill()
        try loop.close()
        return Subject(name: name, subject: "fio") { round in
            try fio.reads(
                of: folder + "/yardstick", operationBytes: bytes, depth: depth,
                seed: common.seed &+ UInt64(round + 2))
        }
    }

    /// Into a preallocated file that was not written before, as the yardstick does and a store that
    /// grows. `nil` without fio.
    private func fioWrites(_ name: String) throws -> Subject? {
        guard let fio else { return nil }
        let bytes = DeviceLoop.wholeUnits(geometry.chunkBytes)
        let folder = place + "/fio-write"
        let loop = try DeviceLoop(
            directory: folder, operationBytes: bytes, depth: 1,
            fileBytes: objectCount * bytes, options: common.disk)
        try loop.close()
        return Subject(name: name, subject: "fio") { round in
            try fio.durableWrites(
                to: folder + "/yardstick", operationBytes: bytes, count: objectsPerWindow,
                origin: (round + 1) * objectsPerWindow * bytes)
        }
    }

    private func generator(_ turn: Int) -> SeededGenerator {
        SeededGenerator(seed: common.seed &+ UInt64(turn + 2))
    }

    /// One operation after the other; what prepares a window is not part of it.
    private func timed<Wanted>(
        _ wanted: some Collection<Wanted>, _ bytesEach: Int, _ operation: (Wanted) throws -> Void
    ) throws -> Work {
        var work = Work()
        let start = Clocks()
        for one in wanted {
            let begin = Clocks.now
            try operation(one)
            work.latencies.append(Clocks.now - begin)
        }
        work.operations = wanted.count
        work.bytes = wanted.count * bytesEach
        work.span = Work.Span(from: start, to: Clocks())
        return work
    }
}
