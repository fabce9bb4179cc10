// Single layers of a store in random order, as many tasks at once as the yardstick has transfers.

import ChunkDB
import Synchronization

struct LayerReads: Sendable {
    struct Wanted: Sendable {
        let chunk: Int
        let key: ChunkKey
        let layer: Int
    }
    /// Brings one and checks it; lanes count from 0 to the depth.
    typealias Read = @Sendable (Wanted, _ lane: Int, inout Work) async throws -> Void

    let store: BenchStore
    /// Tasks at once.
    let depth: Int
    /// Caller threads that they are divided among.
    var threads = 1
    /// Of the chunks.
    let fame: Popularity
    let windowBytes: Int
    let seed: UInt64

    func subject(_ name: String, stream: UInt64, _ read: @escaping Read) -> Subject {
        let geometry = store.source.geometry
        let count = max(windowBytes / geometry.layerBytes, 1)
        // Users have keys from elsewhere, and hashing tokens is no part of a read.
        let keys = (0..<fame.count).map(store.key)
        return Subject(name: name, subject: "chunkdb") { [self] round in
            var generator = SeededGenerator(seed, round, stream: stream)
            let chunks = fame.ranks(count, using: &generator)
            let wanted = chunks.map { chunk in
                Wanted(
                    chunk: chunk, key: keys[chunk],
                    layer: Int.random(in: 0..<geometry.layerCount, using: &generator))
            }
            // Whoever is done takes the next: fixed shares would end with the slowest one alone.
            let next = Counter()
            return try onThreads(threads) { [depth, threads] thread in
                try await withThrowingTaskGroup(of: Work.self) { group in
                    for lane in stride(from: thread, to: depth, by: threads) {
                        group.addTask {
                            var work = Work()
                            while let index = next.take(below: count) {
                                let start = Clocks.now
                                try await read(wanted[index], lane, &work)
                                work.latencies.append(Clocks.now - start)
                                work.operations += 1
                                work.bytes += geometry.layerBytes
                            }
                            return work
                        }
                    }
                    return try await group.reduce(Work()) { $0 + $1 }
                }
            }.reduce(Work()) { $0 + $1 }
        }
    }

    private final class Counter: Sendable {
        private let next = Atomic(0)

        func take(below count: Int) -> Int? {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            return index < count ? index : nil
        }
    }

    /// `get` of one layer, into memory that the store gives.
    func get(_ verification: Verification) -> Read {
        { [store] wanted, _, _ in
            guard
                let data = try await store.namespace.get(
                    wanted.key, layers: wanted.layer..<wanted.layer + 1, verification: verification)
            else { throw BenchmarkError.wrongBytes("chunk \(wanted.chunk): a miss") }
            try store.check(data, chunk: wanted.chunk)
        }
    }
}

extension SeededGenerator {
    /// Another one for each window, and for each that has a stream of its own.
    init(_ seed: UInt64, _ window: Int, stream: UInt64) {
        self.init(
            seed: seed &+ stream << 32 &+ UInt64(bitPattern: Int64(window)) &* 0x9E37_79B9)
    }
}
