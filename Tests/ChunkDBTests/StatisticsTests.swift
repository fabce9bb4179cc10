// The statistics file: what is written is what is read, whatever else is read does no harm, and it
// goes with the store.

import ChunkDB
import EngineTestSupport
import Foundation
import Primitives
import StoreTestSupport
import Testing

@Suite("Statistics, published")
struct StatisticsTests {
    @Test("what is written is what is read")
    func roundTrip() throws {
        var generator = SeededGenerator(seed: 4)
        for round in 0..<50 {
            var values: [StatisticsSnapshot.Counter: UInt64] = [:]
            for counter in StatisticsSnapshot.Counter.allCases {
                values[counter] = .random(in: 0...UInt64.max, using: &generator)
            }
            let snapshot = StatisticsSnapshot(
                storeID: (0..<16).map { _ in .random(in: 0...255, using: &generator) },
                processID: .random(in: 1...Int32.max, using: &generator), sequence: UInt64(round),
                wallSeconds: .random(in: 0...UInt64.max, using: &generator),
                monotonicNanoseconds: .random(in: 0...UInt64.max, using: &generator),
                intervalNanoseconds: .random(in: 0...UInt64.max, using: &generator), values: values,
                tenants: [
                    .init(name: "a\nb\u{1B}", values: [.putCount: 1]), .init(name: "", values: [:]),
                ])
            let bytes = Array(snapshot.text.utf8)
            #expect(try StatisticsSnapshot(parsing: bytes) == snapshot)
            // A later writer knows more.
            let more = snapshot.text.replacing("end\n", with: "warpCount 7\nend\n\n\n")
            #expect(try StatisticsSnapshot(parsing: Array(more.utf8)) == snapshot)
            #expect(throws: StatisticsFormatError.self) {
                try StatisticsSnapshot(parsing: bytes.dropLast(2 + round % 9))
            }
        }
        for text in [
            "", "x", "chunkdb-statistics 2\nend\n", "chunkdb-statistics 1\nend\n",
            "chunkdb-statistics 1\nstore 00\nprocess 1\nend\n",
            "chunkdb-statistics 1\nstore \(String(repeating: "0", count: 32))\nprocess 0\nend\n",
            "chunkdb-statistics 1\nputCount -1\nend\n", "chunkdb-statistics 1\nputCount 1 2\nend\n",
        ] {
            #expect(throws: StatisticsFormatError.self) {
                try StatisticsSnapshot(parsing: Array(text.utf8))
            }
        }
        #expect(throws: StatisticsFormatError.self) {
            try StatisticsSnapshot(
                parsing: [UInt8](repeating: 0x0A, count: StatisticsSnapshot.textBytesMax + 1))
        }
    }

    @Test("a file is there while it is published, whole at every look, and gone afterwards")
    func publication() throws {
        let directory = TemporaryDirectory()
        try FileManager.default.createDirectory(
            atPath: directory.path, withIntermediateDirectories: true)
        let file = directory.path + "/numbers"
        var options = StoreOptions(capacity: .mebibytes(16), segmentSize: .kibibytes(256))
        (options.disk.buffered, options.disk.engine) = (true, .threads)
        let store = directory.path + "/store"
        let db = try ChunkDB.openAndWait(at: store, options: options)
        try db.wait { () async throws in
            let space = try await db.namespace("acme", model: smallBinding())
            // Of a process that died.
            try Data("half".utf8).write(to: URL(filePath: file + ".new"))
            let publication = try await db.publishStatistics(at: file, every: .milliseconds(10))
            for owner in 0..<20 as Range<UInt64> { try await TestChunk(owner).put(in: space) }
            _ = try await TestChunk(3).isIntact(in: space)
            _ = try await TestChunk(99).isIntact(in: space)
            var last: UInt64 = 0
            let end = Date().addingTimeInterval(20)
            while Date() < end {
                let bytes = [UInt8](try Data(contentsOf: URL(filePath: file)))
                let found = try StatisticsSnapshot(parsing: bytes)
                #expect(found.sequence >= last && found.storeID == db.superblock.storeID)
                #expect(found.processID == ProcessInfo.processInfo.processIdentifier)
                last = found.sequence
                guard found[.missCount] == 1, last > 3 else { continue }
                #expect(found[.putCount] == 20 && found[.hitCount] == 1)
                #expect(found[.entryCount] == 20 && found[.capacityBytes] == 16 << 20)
                #expect(found.tenants.map(\.name) == ["acme"])
                #expect(found.tenants.first?.values[.hitCount] == 1)
                break
            }
            #expect(last > 3)
            await publication.stop()
            #expect(!FileManager.default.fileExists(atPath: file))
            await #expect(throws: StoreError.self) {
                try await db.publishStatistics(at: store + "/numbers")
            }
            await #expect(throws: StoreError.self) {
                try await db.publishStatistics(at: "/nonexistent/numbers")
            }
            try await db.publishStatistics(at: file, every: .milliseconds(10))
            await db.close()
        }
        let end = Date().addingTimeInterval(20)
        while FileManager.default.fileExists(atPath: file), Date() < end { usleep(10_000) }
        #expect(!FileManager.default.fileExists(atPath: file), "it goes with the store")
    }

    @Test("a full disk costs the numbers of that time, and nothing else")
    func failedWrites() throws {
        let machine = SimulatedMachine(seed: 3)
        let place = SimulatedDisk(
            scheduler: machine.scheduler, options: SimulatedDiskOptions(seed: 9))
        let (db, clock) = (try machine.open(), machine.scheduler.clock)
        @Sendable func sequence() throws -> UInt64 {
            try StatisticsSnapshot(parsing: place.bytes(of: "numbers")).sequence
        }
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding())
            let publication = try await db.publishStatistics(
                on: place, as: "numbers", every: .seconds(1))
            place.fail(.write, number: 1, errorNumber: ENOSPC, forever: true)
            await clock.sleep(nanoseconds: 5_000_000_000)
            #expect(place.faultHitCount > 1)
            #expect(try sequence() == 1, "the last whole one stays")
            try await TestChunk(1).put(in: space)
            place.clearFailures()
            await clock.sleep(nanoseconds: 5_000_000_000)
            #expect(try sequence() > 5)
            await publication.stop()
            #expect(place.fileNames.isEmpty, "\(place.fileNames)")
            #expect(try await TestChunk(1).isIntact(in: space) == true)
            await db.close()
        }
    }

    @Test("a recorder's file is the observer's lines, in whole, and counts what it left out")
    func recorder() throws {
        let directory = TemporaryDirectory()
        try FileManager.default.createDirectory(
            atPath: directory.path, withIntermediateDirectories: true)
        let file = directory.path + "/requests.jsonl"
        var machine = SimulatedMachine(seed: 2)
        let recorder = try CallerWait.run { try await RequestRecorder.start(at: file) }
        machine.options.requestObserver = { request in
            // Enough for several writes.
            for _ in 0..<40 { recorder.note(request) }
        }
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding())
            for owner in 0..<30 as Range<UInt64> { try await TestChunk(owner).put(in: space) }
            _ = try await TestChunk(1).isIntact(in: space)
            await db.close()
        }
        try CallerWait.run { try await recorder.finish() }
        try CallerWait.run { try await recorder.finish() }
        let text = try String(contentsOfFile: file, encoding: .utf8)
        let lines = text.split(separator: "\n")
        let counts = recorder.counts
        #expect(UInt64(lines.count) == counts.lines && counts.lines + counts.dropped == 31 * 40)
        #expect(counts.dropped == 0 && text.hasSuffix("}\n"))
        #expect(lines.last?.contains("\"use\"") == true)
        #expect(throws: StoreError.self) {
            try CallerWait.run { try await RequestRecorder.start(at: file) }
        }
    }
}

/// Async work that may throw anything, to its end.
enum CallerWait {
    static func run<Success: Sendable>(_ body: @escaping @Sendable () async throws -> Success)
        throws -> Success
    {
        try CallerThread.wait { () async -> Result<Success, any Error> in
            do { return .success(try await body()) } catch { return .failure(error) }
        }.get()
    }
}
