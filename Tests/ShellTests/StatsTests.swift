// `stats` and `watch`: what a running process says, what one left behind, and what nobody said.

import ChunkDB
import ChunkFormat
import Foundation
import Primitives
import Testing

@testable import chunkdb

/// Time that passes by sleeping, and something that happens meanwhile.
private final class SleepingClock: StoreClock, @unchecked Sendable {
    // SAFETY: used by one test on one thread.
    private(set) var monotonicNanoseconds: UInt64 = 0
    private let start: UInt64
    private let meanwhile: (UInt64) -> Void
    init(wallSeconds: UInt64, _ meanwhile: @escaping (UInt64) -> Void) {
        (start, self.meanwhile) = (wallSeconds, meanwhile)
    }
    var wallSeconds: UInt64 { start + monotonicNanoseconds / 1_000_000_000 }
    func sleep(nanoseconds: UInt64) async {
        monotonicNanoseconds += nanoseconds
        meanwhile(monotonicNanoseconds)
    }
}

@Suite("Statistics of a running process")
struct StatsTests {
    private static let written: UInt64 = 1_800_000_000

    private func identity(_ place: Place) throws -> [UInt8] {
        let bytes = try place.bytes("superblock", at: 0, count: Superblock.blockBytes)
        return try Superblock(decoding: bytes, copyIndex: 0).storeID
    }

    /// Process 1 is always there.
    private func snapshot(
        _ id: [UInt8], process: Int32 = 1, sequence: UInt64 = 3, second: UInt64 = 0
    ) -> StatisticsSnapshot {
        var values: [StatisticsSnapshot.Counter: UInt64] = [:]
        for (index, counter) in StatisticsSnapshot.Counter.allCases.enumerated() {
            values[counter] = UInt64(index + 1) * (counter.isBytes ? 1_000 : 1) * (second + 1)
        }
        return StatisticsSnapshot(
            storeID: id, processID: process, sequence: sequence,
            wallSeconds: Self.written + second, monotonicNanoseconds: second * 1_000_000_000,
            intervalNanoseconds: 1_000_000_000, values: values,
            tenants: [
                .init(name: "acme", values: [.entryCount: 4, .livingBytes: 65_536, .hitCount: 7]),
                .init(name: hostileName, values: [.missCount: 1]),
            ])
    }

    private func write(_ snapshot: StatisticsSnapshot, _ place: Place) throws {
        try Data(snapshot.text.utf8).write(
            to: URL(fileURLWithPath: place.store + ".statistics"), options: .atomic)
    }

    @Test("are shown as their snapshots say, in text and in JSON, live and stale")
    func snapshots() throws {
        let place = try Place()
        try place.makeStore()
        let id = try identity(place)
        func compare(_ words: [String], _ name: String, second: UInt64) throws {
            let clock = SteppingClock(stepNanoseconds: 1, wallSeconds: Self.written + second)
            let outcome = place.run(words, clock: clock)
            let text = outcome.output.replacingOccurrences(of: hexadecimal(id), with: "<digest>")
            try Snapshot.compare(
                Outcome(exit: outcome.exit, output: text, errors: outcome.errors), name, in: place)
        }
        try write(snapshot(id), place)
        try compare(["stats"], "stats", second: 1)
        try compare(["stats", "--json"], "stats-json", second: 1)
        try compare(["stats"], "stats-stale", second: 60)
        try compare(["watch", "--count", "1"], "watch-stale", second: 60)
        try write(snapshot(id, process: .max), place)
        try compare(["stats", "--json"], "stats-gone-json", second: 1)
    }

    @Test("rates are over the writer's own time, line by line, and begin anew with a new process")
    func rates() throws {
        let place = try Place()
        try place.makeStore()
        let id = try identity(place)
        try write(snapshot(id), place)
        func clock() -> SleepingClock {
            SleepingClock(wallSeconds: Self.written) { now in
                let second = now / 1_000_000_000
                // The third and fourth are another process's, whose counters begin anew.
                let isLater = second >= 3
                var next = self.snapshot(
                    id, process: isLater ? ProcessInfo.processInfo.processIdentifier : 1,
                    sequence: isLater ? second - 2 : 3 + second, second: isLater ? 0 : second)
                next.wallSeconds = Self.written + second
                next.monotonicNanoseconds = second * 1_000_000_000
                if isLater, second > 3 { next.values[.putCount]! += 4 * (second - 3) }
                try? self.write(next, place)
            }
        }
        try Snapshot.compare(
            place.run(["watch", "--count", "4"], clock: clock()), "watch", in: place)
        try write(snapshot(id), place)
        let json = try place.run(["watch", "--count", "4", "--json"], clock: clock()).json
        let samples = try #require(json["samples"] as? [[String: Any]])
        #expect(samples.count == 4)
        for (index, puts) in [10.0, 10.0, 4.0, 4.0].enumerated() {
            let rates = try #require(samples[index]["perSecond"] as? [String: Double])
            #expect(rates["putCount"] == puts, "\(index)")
            #expect(samples[index]["seconds"] as? Double == 1)
        }
        #expect(samples[0]["hitShare"] as? Double != nil && samples[2]["hitShare"] == nil)
        // It stops being written: that is said, and is the end.
        try write(snapshot(id), place)
        let silent = place.run(
            ["watch"], clock: SleepingClock(wallSeconds: Self.written) { _ in })
        #expect(silent.exit == .cannotOpen && silent.errors.contains("has not written it for"))
    }

    @Test("what is no statistics, or another store's, is refused with a word")
    func refusals() throws {
        let place = try Place()
        try place.makeStore()
        let id = try identity(place)
        let file = place.store + ".statistics"
        let missing = place.run(["stats"])
        #expect(missing.exit == .cannotOpen && missing.errors.contains("publishStatistics"))
        #expect(place.run(["watch", "--count", "1"]).exit == .cannotOpen)
        #expect(place.run(["watch", "--json"]).exit == .usage)
        #expect(place.run(["watch", "--interval", "0"]).exit == .usage)
        try write(snapshot([UInt8](repeating: 9, count: 16)), place)
        let foreign = place.run(["stats"])
        #expect(foreign.exit == .cannotOpen && foreign.errors.contains("of store 0909"))
        try FileManager.default.removeItem(atPath: file)
        #expect(mkfifo(file, 0o600) == 0)
        #expect(place.run(["stats"]).exit == .cannotOpen, "and does not wait for a writer")
        try FileManager.default.removeItem(atPath: file)
        let sound = Array(snapshot(id).text.utf8)
        var generator = SeededGenerator(seed: 17)
        for round in 0..<400 {
            var bytes = sound
            switch round % 4 {
            case 0: bytes = Array(bytes.prefix(.random(in: 0..<bytes.count, using: &generator)))
            case 1:
                for _ in 0..<3 {
                    bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(
                        in: 0...255, using: &generator)
                }
            case 2:
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                let pieces = [
                    "\u{1B}]0;x\u{07}", "99999999999999999999", "-1", "\n\n", "namespace zz",
                    "namespace 1b5b33316d\n", "18446744073709551615", "\u{0}",
                ]
                bytes.insert(
                    contentsOf: Array(pieces.randomElement(using: &generator)!.utf8), at: place)
            default:
                bytes = (0..<200).map { _ in .random(in: 0...255, using: &generator) }
            }
            try Data(bytes).write(to: URL(fileURLWithPath: file))
            for words in [["stats"], ["stats", "--json"], ["watch", "--count", "1"]] {
                // It stays as it is: so watching it ends with staleness.
                let clock = SleepingClock(wallSeconds: Self.written) { _ in }
                let outcome = place.run(words, clock: clock)
                #expect([.fine, .cannotOpen].contains(outcome.exit))
                for scalar in (outcome.output + outcome.errors).unicodeScalars {
                    if scalar.value < 0x20 && scalar != "\n" || (0x7F..<0xA0).contains(scalar.value)
                    {
                        Issue.record("U+\(String(scalar.value, radix: 16))")
                        break
                    }
                }
            }
        }
    }

    @Test("a process that publishes is seen live, and its end is seen too")
    func live() throws {
        let place = try Place()
        let file = place.store + ".statistics"
        try place.makeStore { db in
            try db.wait { () async throws in
                try await db.publishStatistics(at: file, every: .milliseconds(10))
                for owner in [1, 2] as [UInt32] {
                    _ = try await db.namespace("acme")?.get(key(owner))
                }
            }
            let watched = place.run(["watch", "--count", "2", "--interval", "0.1", "--json"])
            #expect(watched.exit == .fine, "\(watched.errors)")
            #expect(try (watched.json["samples"] as? [Any])?.count == 2)
            let stats = try place.run(["stats", "--json"]).json
            let counters = try #require(stats["counters"] as? [String: Any])
            #expect(counters["putCount"] as? Int == 7)
            #expect(counters["getCount"] as? Int == 2 && counters["hitCount"] as? Int == 2)
            #expect(counters["entryCount"] as? Int == 6)
            #expect(stats["isLive"] as? Bool == true)
            // Nothing of it is in the store, and recovery has nothing to report.
            #expect(place.run(["info"]).exit == .fine)
        }
        // The store is closed: somewhat later nothing is left.
        let end = Date().addingTimeInterval(20)
        while FileManager.default.fileExists(atPath: file), Date() < end { usleep(10_000) }
        #expect(place.run(["stats"]).exit == .cannotOpen)
        #expect(place.run(["verify"]).exit == .fine)
    }
}
