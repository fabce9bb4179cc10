// SOAK: a full store for a long time: 8 writers, 32 readers, leases, chunks that end, two tenants,
// removals and replacements, on a real directory. Each session is a process that is killed with
// calls in it; the next one goes on from what it left. Nothing may grow: not descriptors, not
// memory, not bytes on disk.
//
// CHUNKDB_SOAK says for how many seconds; memory is judged from a minute on. CHUNKDB_SOAK_PAUSE
// lets writers rest between their puts, in milliseconds, on machines that have other work.

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
    private static let environment = ProcessInfo.processInfo.environment
    private static let seconds = environment["CHUNKDB_SOAK"].flatMap(Int.init) ?? 4
    private static let pause = environment["CHUNKDB_SOAK_PAUSE"].flatMap(Int.init) ?? 0
    private static let capacity = ByteCount.mebibytes(48)
    /// A segment, and a checkpoint that is larger than the last one.
    private static let slack = 2 << 20
    private static let writerCount: UInt64 = 8
    private static let readerCount: UInt64 = 32
    /// How far behind the newest chunk readers look.
    private static let window: UInt64 = 300
    private static let sessionCount = 4

    /// What a session says before it is killed.
    private struct Report: Codable {
        var newest: UInt64
        var wrong: [String] = []
        var counts: [String: Int] = [:]
        /// Of reads that found their chunk, beside freed segments or not: by octave and eighth.
        var readsBeside = [Int](repeating: 0, count: 512)
        var readsOtherwise = [Int](repeating: 0, count: 512)
        /// Every tenth of the session.
        var descriptors: [Int] = []
        /// Those that are no file of the store.
        var otherDescriptors: [Int] = []
        var residentBytes: [Int] = []
        var freedCount: UInt64 = 0
        var writeAmplification = 0.0
        var spaceAmplification = 0.0

        mutating func add(nanoseconds: UInt64, isBeside: Bool) {
            let octave = 63 - nanoseconds.leadingZeroBitCount
            let eighth = octave < 3 ? 0 : Int(nanoseconds >> (octave - 3)) & 7
            if isBeside {
                readsBeside[octave * 8 + eighth] += 1
            } else {
                readsOtherwise[octave * 8 + eighth] += 1
            }
        }

        /// The upper end of the eighth in which that share of the reads ends, in microseconds.
        static func quantile(_ share: Double, of buckets: [Int]) -> Int {
            var left = Int(share * Double(buckets.reduce(0, +)))
            for (index, count) in buckets.enumerated() {
                left -= count
                if left < 0 { return Int(exp2(Double(index / 8)) * Double(9 + index % 8) / 8_000) }
            }
            return 0
        }
    }

    private final class Notes: Sendable {
        let report: Mutex<Report>
        init(newest: UInt64) { report = Mutex(Report(newest: newest)) }

        func count(_ name: String) { report.withLock { $0.counts[name, default: 0] += 1 } }
        func wrong(_ text: String) {
            report.withLock { if $0.wrong.count < 20 { $0.wrong.append(text) } }
        }
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
        while true {
            let owner = notes.report.withLock { report in
                report.newest += 1
                return report.newest
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
            if pause > 0 { try? await Task.sleep(for: .milliseconds(pause)) }
        }
    }

    private static func read(_ reader: UInt64, _ db: ChunkDB, _ notes: Notes) async {
        var generator = SeededGenerator(seed: 1_000 + reader)
        while true {
            let newest = notes.report.withLock { $0.newest }
            let age = UInt64.random(in: 0...window, using: &generator)
            let owner = newest > age ? newest - age : 1
            let chunk = TestChunk(owner, tokenCount: 100)
            guard let space = db.namespace(owner % 3 == 0 ? "beta" : "acme") else { return }
            var leaseBegin = ContinuousClock.now
            do throws(StoreError) {
                let begin = DispatchTime.now().uptimeNanoseconds
                let before = await db.logCounters().freedCount
                let isIntact = try await chunk.isIntact(in: space)
                if isIntact == false { notes.wrong("chunk \(owner) has other bytes") }
                notes.count(isIntact == nil ? "miss" : "hit")
                if isIntact == true {
                    let time = DispatchTime.now().uptimeNanoseconds - begin
                    let isCleaning = await db.logCounters().freedCount != before
                    notes.report.withLock { $0.add(nanoseconds: time, isBeside: isCleaning) }
                }
                leaseBegin = .now
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
                // A process that was held still finds its leases over.
                case .leaseEnded where ContinuousClock.now - leaseBegin >= .seconds(1):
                    notes.count("lease over")
                default: notes.wrong("read of \(owner): \(error)")
                }
            }
            try? await Task.sleep(for: .milliseconds(1 + pause))
        }
    }

    private static func descriptorCount() -> Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
    }

    private static func residentBytes() -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        return (Int(text.split(separator: " ").dropFirst().first ?? "") ?? 0) * 4_096
    }

    /// Regular files, how many, and their bytes on disk.
    private static func files(_ path: String) -> (count: Int, allocatedBytes: Int) {
        let names = FileManager.default.enumerator(atPath: path)?.allObjects as? [String] ?? []
        return names.reduce(into: (0, 0)) { sum, name in
            var status = stat()
            guard unsafe stat("\(path)/\(name)", &status) == 0,
                status.st_mode & S_IFMT == S_IFREG
            else { return }
            sum = (sum.count + 1, sum.allocatedBytes + Int(status.st_blocks) * 512)
        }
    }

    /// A session: it ends by being killed, with everybody inside.
    static func liveAndDie(
        _ store: String, _ report: String, newest: UInt64, tenths: Duration
    ) async throws {
        let notes = Notes(newest: newest)
        let db = try await ChunkDB.open(at: store, options: options)
        for name in ["acme", "beta"] {
            _ = try await db.namespace(name, model: smallBinding(layers: 2))
        }
        for writer in 0..<writerCount { Task { await write(writer, db, notes) } }
        for reader in 0..<readerCount { Task { await read(reader, db, notes) } }
        for _ in 0..<10 {
            let end = ContinuousClock.now + tenths
            while ContinuousClock.now < end {
                try await Task.sleep(for: .milliseconds(50))
                let bytes = files(store).allocatedBytes
                if bytes > Int(capacity.bytes) + slack {
                    notes.wrong("B-1: \(bytes) bytes on disk")
                }
            }
            let (descriptors, resident) = (descriptorCount(), residentBytes())
            notes.report.withLock { report in
                report.descriptors.append(descriptors)
                report.otherDescriptors.append(descriptors - files(store).count)
                report.residentBytes.append(resident)
            }
        }
        let (counters, cost) = (await db.logCounters(), await db.amplification())
        if db.counters.damageCount > 0 { notes.wrong("damage was met") }
        let last = notes.report.withLock { notes in
            notes.freedCount = counters.freedCount
            notes.writeAmplification = cost.write ?? 0
            notes.spaceAmplification = cost.space ?? 0
            return notes
        }
        try JSONEncoder().encode(last).write(to: URL(fileURLWithPath: report))
        kill(getpid(), SIGKILL)
    }

    /// What a killed session left: whole, and within its bound. *Returns:* how many chunks.
    private static func survey(_ path: String, newest: UInt64) async throws -> Int {
        let db = try await ChunkDB.open(at: path, options: options)
        #expect(db.recovery.damages == [])
        #expect(files(path).allocatedBytes <= Int(capacity.bytes) + slack, "after recovery")
        var count = 0
        for owner in max(newest, 3 * window) - 3 * window...newest {
            guard let space = db.namespace(owner % 3 == 0 ? "beta" : "acme") else { continue }
            let isIntact = try await TestChunk(owner, tokenCount: 100).isIntact(in: space)
            #expect(isIntact != false, "chunk \(owner) has other bytes")
            if isIntact == true { count += 1 }
        }
        await db.close()
        return count
    }

    @Test("B-1 G-1 N-3 F-A nothing is wrong, and nothing grows")
    func soak() async throws {
        let directory = TemporaryDirectory()
        try FileManager.default.createDirectory(
            atPath: directory.path, withIntermediateDirectories: true)
        let (store, path) = (directory.path + "/store", directory.path + "/report")
        let tenths = Duration.milliseconds(Self.seconds * 100 / Self.sessionCount)
        var newest: UInt64 = 1
        for session in 0..<Self.sessionCount {
            await #expect(processExitsWith: .signal(SIGKILL)) {
                [
                    store = store as String, path = path as String, newest = newest as UInt64,
                    milliseconds = Int(tenths / .milliseconds(1)) as Int
                ] in
                try await SoakTests.liveAndDie(
                    store, path, newest: newest, tenths: .milliseconds(milliseconds))
            }
            let data = try Data(contentsOf: URL(fileURLWithPath: path))
            let report = try JSONDecoder().decode(Report.self, from: data)
            try FileManager.default.removeItem(atPath: path)
            #expect(report.wrong == [])
            newest = report.newest + Self.writerCount
            let count = try await Self.survey(store, newest: newest)
            let mebibytes = report.residentBytes.map { $0 >> 20 }
            print(
                """
                SOAK session \(session), \(tenths * 10): \(report.counts), \(report.freedCount) \
                segments freed, write amplification \(report.writeAmplification), space \
                \(report.spaceAmplification); descriptors \(report.descriptors), of these no files \
                \(report.otherDescriptors), resident MiB \(mebibytes); \(count) chunks of the \
                last \(3 * Self.window) after it was killed
                """)
            for (name, reads) in [
                ("beside freed segments", report.readsBeside), ("otherwise", report.readsOtherwise),
            ] {
                print(
                    "SOAK reads \(name): \(reads.reduce(0, +)), p50 "
                        + "\(Report.quantile(0.5, of: reads)) µs, p99 "
                        + "\(Report.quantile(0.99, of: reads)) µs")
            }
            #expect(report.counts["hit", default: 0] > 0 && report.counts["committed"] != nil)
            #expect(count > 0)
            guard Self.seconds >= 60 else { continue }
            #expect(report.freedCount > 0 && report.counts["leased"] != nil)
            // A file is a descriptor, and how many segments the capacity has depends on how long
            // they are; one more each for files that were unlinked and that somebody still reads.
            let settled = report.otherDescriptors[3]
            #expect(report.otherDescriptors.suffix(6).allSatisfy { abs($0 - settled) <= 4 })
            #expect(Double(report.residentBytes[9]) <= 1.2 * Double(report.residentBytes[3]))
        }
    }
}
