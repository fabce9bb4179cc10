// SOAK: hours of a full store in minutes: 8 writers, 32 readers, leases, chunks that end, two
// tenants, removals and replacements, on a real directory that is closed and opened again.
// Nothing may grow: not descriptors, not memory, not bytes on disk.
//
// CHUNKDB_SOAK says for how many seconds; memory is judged from a minute on, when the suite has the
// process for itself (`--filter SoakTests`). Killed processes are in KILL.

import ChunkDB
import EngineTestSupport
import Foundation
import Glibc
import Primitives
import SegmentLog
import StoreTestSupport
import Synchronization
import Testing

@Suite("SOAK: a full store for a long time")
struct SoakTests {
    private static let seconds =
        ProcessInfo.processInfo.environment["CHUNKDB_SOAK"].flatMap(Int.init) ?? 4
    private static let capacity = ByteCount.mebibytes(48)
    private static let writerCount: UInt64 = 8
    private static let readerCount: UInt64 = 32
    /// Sessions; each ends a store and begins another on the same directory.
    private static let sessionCount = 4

    private final class Notes: Sendable {
        let newest = Mutex<UInt64>(0)
        let wrong = Mutex<[String]>([])
        let counts = Mutex<[String: Int]>([:])
        /// Nanoseconds of reads that found their chunk.
        let latencies = Mutex<[Bool: [UInt64]]>([:])
        let isOver = Atomic(false)

        func count(_ name: String) { counts.withLock { $0[name, default: 0] += 1 } }
        func wrong(_ text: String) { wrong.withLock { if $0.count < 20 { $0.append(text) } } }
    }

    private static var options: StoreOptions {
        var options = StoreOptions(
            capacity: capacity, segmentSize: .mebibytes(1), digestBlockShift: 12)
        options.commitsPerCheckpoint = 500
        options.cleaningBandwidth = .mebibytes(64)
        options.namespaces["acme", default: .init()].limit = .mebibytes(24)
        options.namespaces["beta", default: .init()].guaranteedShare = .mebibytes(4)
        options.namespaces["beta"]?.retentionPolicy = "lfu"
        return options
    }

    private static func write(_ writer: UInt64, _ db: ChunkDB, _ notes: Notes) async {
        var generator = SeededGenerator(seed: writer)
        while !notes.isOver.load(ordering: .relaxed) {
            let owner = notes.newest.withLock { newest in
                newest += 1
                return newest
            }
            let chunk = TestChunk(owner, tokenCount: 100)
            guard let space = db.namespace(owner % 3 == 0 ? "beta" : "acme") else { return }
            do throws(StoreError) {
                let draw = Int.random(in: 0..<10, using: &generator)
                let outcome = try await chunk.put(
                    in: space, timeToLive: draw == 0 ? .seconds(1) : nil,
                    durability: draw < 3 ? .durable : .written)
                notes.count("\(outcome)")
                if draw == 9 { try await space.remove(chunk.key(in: space), durability: .written) }
                if draw == 8 {
                    _ = try await space.put(
                        chunk.key(in: space), tokens: chunk.tokens,
                        layers: chunk.layers(space.binding), replacing: true)
                }
            } catch {
                switch error {
                case .log(.capacityExceeded), .quotaExceeded: notes.count("refused")
                default: notes.wrong("put of \(owner): \(error)")
                }
            }
        }
    }

    private static func read(_ reader: UInt64, _ db: ChunkDB, _ notes: Notes) async {
        var generator = SeededGenerator(seed: 1_000 + reader)
        while !notes.isOver.load(ordering: .relaxed) {
            let newest = notes.newest.withLock { $0 }
            let age = UInt64.random(in: 0...300, using: &generator)
            let owner = newest > age ? newest - age : 1
            let chunk = TestChunk(owner, tokenCount: 100)
            guard let space = db.namespace(owner % 3 == 0 ? "beta" : "acme") else { return }
            do throws(StoreError) {
                let begin = DispatchTime.now().uptimeNanoseconds
                let before = await db.logCounters().freedCount
                let isIntact = try await chunk.isIntact(in: space)
                if isIntact == false { notes.wrong("chunk \(owner) has other bytes") }
                notes.count(isIntact == nil ? "miss" : "hit")
                if isIntact == true {
                    let time = DispatchTime.now().uptimeNanoseconds - begin
                    let isCleaning = await db.logCounters().freedCount != before
                    notes.latencies.withLock { $0[isCleaning, default: []].append(time) }
                }
                if reader < 4, isIntact == true,
                    let lease = try await space.lease(chunk.key(in: space), for: .seconds(1))
                {
                    try? await Task.sleep(for: .milliseconds(50))
                    let data = try await lease.get(layers: 0..<1)
                    let expected = chunk.layers(space.binding)[0].keys
                    if !data.plane(layer: 0, .keys).elementsEqual(expected) {
                        notes.wrong("lease of \(owner) has other bytes")
                    }
                    notes.count("leased")
                }
            } catch {
                switch error {
                case .quotaExceeded: notes.count("lease refused")
                default: notes.wrong("read of \(owner): \(error)")
                }
            }
            try? await Task.sleep(for: .milliseconds(1))
        }
    }

    private static func descriptorCount() -> Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
    }

    private static func residentBytes() -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        return (Int(text.split(separator: " ").dropFirst().first ?? "") ?? 0) * 4_096
    }

    private static func allocatedBytes(_ path: String) -> Int {
        let names = FileManager.default.enumerator(atPath: path)?.allObjects as? [String] ?? []
        return names.reduce(0) { sum, name in
            var status = stat()
            return unsafe stat("\(path)/\(name)", &status) == 0
                && status.st_mode & S_IFMT == S_IFREG
                ? sum + Int(status.st_blocks) * 512 : sum
        }
    }

    @Test("B-1 G-1 N-3 nothing is wrong, and nothing grows")
    func soak() async throws {
        let directory = TemporaryDirectory()
        let notes = Notes()
        var (descriptors, resident): ([Int], [Int]) = ([], [])
        for session in 0..<Self.sessionCount {
            notes.isOver.store(false, ordering: .relaxed)
            let db = try await ChunkDB.open(at: directory.path, options: Self.options)
            #expect(db.recovery.damages == [])
            for name in ["acme", "beta"] {
                _ = try await db.namespace(name, model: smallBinding(layers: 2))
            }
            await withTaskGroup { group in
                for writer in 0..<Self.writerCount {
                    group.addTask { await Self.write(writer, db, notes) }
                }
                for reader in 0..<Self.readerCount {
                    group.addTask { await Self.read(reader, db, notes) }
                }
                group.addTask {
                    let limit = Int(Self.capacity.bytes) + (2 << 20)
                    for _ in 0..<max(Self.seconds / Self.sessionCount, 1) * 20 {
                        try? await Task.sleep(for: .milliseconds(50))
                        let bytes = Self.allocatedBytes(directory.path)
                        if bytes > limit { notes.wrong("B-1: \(bytes) bytes on disk") }
                    }
                    notes.isOver.store(true, ordering: .relaxed)
                }
            }
            #expect(db.counters.damageCount == 0)
            let counters = await db.logCounters()
            let cost = await db.amplification()
            print(
                "SOAK session \(session): \(counters.freedCount) freed, write amplification "
                    + "\(cost.write ?? 0), space \(cost.space ?? 0)")
            await db.close()
            descriptors.append(Self.descriptorCount())
            resident.append(Self.residentBytes())
        }
        let wrong = notes.wrong.withLock { $0 }
        #expect(wrong == [])
        print("SOAK \(Self.seconds) s: \(notes.counts.withLock { $0 })")
        for (isCleaning, latencies) in notes.latencies.withLock({ $0 }) {
            let sorted = latencies.sorted()
            guard !sorted.isEmpty else { continue }
            print(
                "SOAK reads \(isCleaning ? "beside freed segments" : "otherwise"): "
                    + "\(sorted.count), p50 \(sorted[sorted.count / 2] / 1_000) µs, "
                    + "p99 \(sorted[sorted.count * 99 / 100] / 1_000) µs")
        }
        print("SOAK descriptors \(descriptors), resident MiB \(resident.map { $0 >> 20 })")
        guard Self.seconds >= 60 else { return }
        #expect(descriptors.allSatisfy { $0 <= descriptors[0] })
        #expect(Double(resident.last!) <= 1.2 * Double(resident[0]))
    }
}
