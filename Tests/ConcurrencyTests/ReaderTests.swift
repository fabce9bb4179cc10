// Readers beside writers that split and merge without rest. Every 16th key stays; no reader may
// ever miss one of these, or see any key twice or out of order.
//
// CHUNKDB_CHURN_OPERATIONS sets the number of changes; with two million, half of them inserts into
// nodes of four slots, a reader lives through a million splits and removals.

import BSkiplist
import Foundation
import Synchronization
import Testing

@Suite("Readers beside writers")
struct ReaderTests {
    static var changes: Int {
        ProcessInfo.processInfo.environment["CHUNKDB_CHURN_OPERATIONS"].flatMap(Int.init)
            ?? 2_000_000
    }
    static let span: UInt64 = 2_048

    private static func key(_ number: UInt64) -> IndexKey {
        // Half of the keys tie in the prefix with seven others.
        number % 2 == 0
            ? IndexKey(number / 16, number, 0, 0, 0) : IndexKey(number / 16, number, 1, 1, 1)
    }

    final class Progress: Sendable {
        private let running = Atomic<Int>(0)
        private let faults = Collected<String>()
        init(writers: Int) { running.store(writers, ordering: .relaxed) }
        func writerDone() { running.wrappingSubtract(1, ordering: .acquiringAndReleasing) }
        var isRunning: Bool { running.load(ordering: .acquiring) > 0 }
        func fault(_ text: String) { faults.add([text]) }
        var all: [String] { Array(faults.take().prefix(5)) }
    }

    private static func write(_ index: BSkiplist, writer: UInt64, changes: Int) {
        var random = Seeded(writer)
        var done = 0
        while done < changes {
            // A stretch is filled, then emptied: as many splits as merges.
            let start = random.next() % span
            let length = 16 + random.next() % 128
            let fills = random.next() % 2 == 0
            for number in start..<(start + length) where number % 16 != 0 {
                if fills {
                    _ = index.upsert(key(number % span), IndexValue(number % span, writer, 0))
                } else {
                    _ = index.remove(key(number % span))
                }
                done += 1
            }
        }
    }

    private static func scanAll(_ index: BSkiplist, _ progress: Progress) {
        var last: IndexKey?
        var kept: UInt64 = 0
        index.scan(from: IndexKey(0, 0, 0, 0, 0)) { key, value in
            if let last, key <= last { progress.fault("out of order or twice: \(key)") }
            last = key
            if value.v0 != key.w1 { progress.fault("value of another key: \(key) \(value)") }
            if key.w1 % 16 == 0 {
                if key.w1 != kept { progress.fault("scan expected \(kept), met \(key.w1)") }
                kept = key.w1 + 16
            }
            return true
        }
        if kept != span { progress.fault("scan ended at \(kept)") }
    }

    @Test("A reader runs through splits and removals")
    func churn() {
        let index = BSkiplist(arena: NodeArena(), seed: 12)
        for number in 0..<Self.span where number % 16 == 0 {
            _ = index.insert(Self.key(number), IndexValue(number, 0, 0))
        }
        let progress = Progress(writers: 2)
        let changes = Self.changes
        runThreads(4) { thread in
            switch thread {
            case 0, 1:
                Self.write(index, writer: UInt64(thread), changes: changes / 2)
                progress.writerDone()
            case 2:
                while progress.isRunning { Self.scanAll(index, progress) }
            default:
                var random = Seeded(99)
                while progress.isRunning {
                    let number = random.next() % Self.span / 16 * 16
                    if index.lookup(Self.key(number))?.v0 != number {
                        progress.fault("lookup missed \(number)")
                    }
                    let batch = (0..<20).map { _ in Self.key(random.next() % Self.span / 16 * 16) }
                    if index.leadingHits(batch) != 20 { progress.fault("batch missed") }
                }
            }
        }
        #expect(progress.all == [])
        #expect(index.checkInvariants().prefix(3) == [])
        Self.scanAll(index, progress)
        #expect(progress.all == [])
    }

    @Test("Many threads insert, count and remove disjoint keys")
    func disjoint() {
        let arena = NodeArena()
        let index = BSkiplist(arena: arena, seed: 1)
        let each = 4_000
        runThreads(4) { thread in
            var random = Seeded(UInt64(thread))
            for _ in 0..<each {
                let word = random.next()
                _ = index.insert(IndexKey(word, UInt64(thread), 0, 0, 0), IndexValue(word, 0, 0))
            }
        }
        #expect(index.count == 4 * each)
        #expect(index.checkInvariants().prefix(3) == [])
        runThreads(4) { thread in
            var random = Seeded(UInt64(thread))
            for _ in 0..<each {
                let word = random.next()
                _ = index.remove(IndexKey(word, UInt64(thread), 0, 0, 0))
            }
        }
        #expect(index.count == 0)
        #expect(index.checkInvariants().prefix(3) == [])
    }
}
