// A store under measurement: one namespace, chunks numbered from 0, keys as a user would make them.

import ChunkDB

struct BenchStore: Sendable {
    let db: ChunkDB
    let namespace: Namespace
    let source: ChunkSource
    let path: String

    /// Creates a store with room for `chunkCount` chunks.
    init(at path: String, source: ChunkSource, chunkCount: Int, common: CommonOptions) throws {
        try self.init(
            at: path, source: source,
            options: Self.options(source.geometry, chunkCount: chunkCount, common))
    }

    /// Creates a store, or opens the one that is there.
    init(at path: String, source: ChunkSource, options: StoreOptions) throws {
        let binding = source.geometry.binding
        (db, namespace) = try blocking {
            let db = try await ChunkDB.open(at: path, options: options)
            return (db, try await db.namespace("bench", model: binding))
        }
        self.source = source
        self.path = path
    }

    static func options(_ geometry: ChunkGeometry, chunkCount: Int, _ common: CommonOptions)
        -> StoreOptions
    {
        // Headers, commits, unused ends of segments, and a little.
        let bytes = UInt64(chunkCount) * UInt64(geometry.chunkBytes + 256 << 10)
        return StoreOptions(
            capacity: ByteCount(bytes + bytes / 4 + 1 << 30),
            segmentSize: common.smoke ? .mebibytes(8) : .mebibytes(256), disk: common.disk)
    }

    func key(_ chunk: Int) -> ChunkKey { namespace.key(tokens: source.tokens(chunk)) }

    /// Puts chunks durably, `writers` at once, which are divided among `threads`. Latencies are
    /// those of whole puts, phases those of reserving, of handing all layers over, and of
    /// committing. Below durable, it ends with a barrier, so that the device has it all.
    func put(
        _ chunks: Range<Int>, writers: Int, threads: Int = 1, _ durability: Durability = .durable,
        from memory: PutMemory = .arrays
    ) throws -> Work {
        let work = try onThreads(threads) { [self] thread in
            try await withThrowingTaskGroup(of: Work.self) { group in
                for writer in stride(from: thread, to: writers, by: threads) {
                    group.addTask {
                        var work = Work()
                        for chunk in chunks where chunk % writers == writer {
                            try await put(chunk, durability, memory, &work)
                        }
                        return work
                    }
                }
                return try await group.reduce(Work()) { $0 + $1 }
            }
        }
        if durability < .durable { try blocking { [db] in try await db.barrier() } }
        return work.reduce(Work()) { $0 + $1 }
    }

    /// What `Namespace.put` does, in its three steps.
    private func put(
        _ chunk: Int, _ durability: Durability, _ memory: PutMemory, _ work: inout Work
    ) async throws {
        let start = Clocks.now
        let tokens = source.tokens(chunk)
        var writer = try await namespace.beginPut(namespace.key(tokens: tokens), tokens: tokens)
        let begun = Clocks.now
        let layerCount = source.geometry.layerCount
        switch memory {
        case .arrays:
            for layer in 0..<layerCount {
                try await writer.append(
                    layer: layer, keys: source.plane(chunk, layer: layer, .keys),
                    values: source.plane(chunk, layer: layer, .values))
            }
        case .aligned:
            try await writer.append(layers: 0..<layerCount, planes: source.planes(chunk))
        }
        let appended = Clocks.now
        let outcome = try await writer.commit(durability: durability)
        let end = Clocks.now
        guard outcome == .committed else {
            throw BenchmarkError.world("chunk \(chunk): \(outcome)")
        }
        work.latencies.append(end - start)
        work.add("begin", begun - start)
        work.add("append", appended - begun)
        work.add("commit", end - appended)
        work.operations += 1
        work.bytes += source.geometry.chunkBytes
    }

    /// One put. *Returns:* its bytes.
    func putOne(_ chunk: Int, _ durability: Durability = .durable) async throws -> Int {
        var work = Work()
        try await put(chunk, durability, .arrays, &work)
        return work.bytes
    }

    /// Compares the begin of every plane that was read with what was put.
    func check(_ data: borrowing ChunkData, chunk: Int) throws {
        for layer in data.layers {
            for kind in [ExtentKind.keys, .values] {
                let isRight = unsafe data.withPlane(layer: layer, kind) {
                    unsafe begins($0, with: source.plane(chunk, layer: layer, kind))
                }
                if !isRight {
                    throw BenchmarkError.wrongBytes("chunk \(chunk), layer \(layer), \(kind)")
                }
            }
        }
    }

    func close() throws {
        try blocking { [db] in await db.close() }
    }
}
