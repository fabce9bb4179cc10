// After a purge no file has a byte of what was purged: not in a dead record, not in a free segment,
// not where a put was abandoned; and all others' chunks are whole.

import ChunkDB
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Purging")
struct PurgeTests {
    private func lines(of owners: [UInt64]) -> Set<[UInt8]> {
        var lines: Set<[UInt8]> = []
        for chunk in owners.map(OwnedChunk.init) {
            for edition in 0..<3 as Range<UInt64> {
                for layer in OwnedChunk.binding.layers.indices {
                    lines.insert(Array(chunk.plane(edition, layer: layer, .keys).prefix(32)))
                    lines.insert(Array(chunk.plane(edition, layer: layer, .values).prefix(32)))
                }
            }
        }
        return lines
    }

    /// First lines of planes on the medium; planes begin at blocks.
    private func found(_ lines: Set<[UInt8]>, on disk: SimulatedDisk) -> Int {
        disk.fileNames.reduce(0) { count, name in
            let bytes = disk.bytes(of: name)
            let starts = stride(from: 0, to: bytes.count - 31, by: 4_096)
            return count + starts.count { lines.contains(Array(bytes[$0..<$0 + 32])) }
        }
    }

    @Test(
        "D-3 no byte of it is left in any file, and others stay whole",
        arguments: 1...4 as ClosedRange<UInt64>)
    func nothingLeft(seed: UInt64) throws {
        let machine = SimulatedMachine(
            seed: seed, capacity: .mebibytes(4), segmentSize: .kibibytes(256))
        let db = try machine.open()
        // Even owners are acme's, odd ones beta's.
        // Not owner 0, whose lines are nearly all zeros.
        let betas = Array(1..<21 as Range<UInt64>)
        let purged = lines(of: betas.map { $0 * 2 })
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: OwnedChunk.binding)
            let beta = try await db.namespace("beta", model: OwnedChunk.binding)
            for number in betas {
                for (space, owner) in [(acme, number * 2), (beta, number * 2 + 1)] {
                    let outcome = try await OwnedChunk(owner).put(
                        1, in: space, .durable, streamed: false)
                    #expect(outcome == .committed)
                }
            }
            // Dead bytes too: replaced, removed, abandoned.
            for number in betas.prefix(8) {
                _ = try await OwnedChunk(number * 2).put(
                    2, in: acme, .durable, streamed: true, replacing: true)
            }
            try await acme.remove(OwnedChunk(4).key(in: acme))
            do {
                let chunk = OwnedChunk(4)
                var writer = try await acme.beginPut(chunk.key(in: acme), tokens: chunk.tokens)
                let planes = chunk.layers(0)[0]
                try await writer.append(layer: 0, keys: planes.keys, values: planes.values)
            }
            #expect(found(purged, on: machine.disk) > 40)
            try await db.purge(acme)
            #expect(found(purged, on: machine.disk) == 0)
            #expect(db.namespace("acme") == nil)
            for number in betas {
                #expect(
                    try await OwnedChunk(number * 2 + 1).read(in: beta) == .edition(1))
            }
            await db.close()
        }
        // And nothing comes back, after a power cut that keeps the least.
        let next = machine.afterPowerCut(Survival(.none))
        #expect(found(purged, on: next.disk) == 0)
        let again = try next.open()
        #expect(again.recovery.damages == [])
        try next.run { () async throws in
            let beta = try #require(again.namespace("beta"))
            for number in betas {
                #expect(
                    try await OwnedChunk(number * 2 + 1).read(in: beta) == .edition(1))
            }
            await again.close()
        }
    }

    @Test("a purge waits for a lease, and the caller need not")
    func leased() throws {
        let machine = SimulatedMachine(
            seed: 9, capacity: .mebibytes(4), segmentSize: .kibibytes(256))
        let (db, clock) = (try machine.open(), machine.scheduler.clock)
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: OwnedChunk.binding)
            let chunk = OwnedChunk(0)
            _ = try await chunk.put(1, in: acme, .durable, streamed: false)
            let lease = try #require(
                try await acme.lease(chunk.key(in: acme), for: .seconds(5)))
            let begin = clock.monotonicNanoseconds
            try await db.purge(acme)
            #expect(clock.monotonicNanoseconds - begin >= 5_000_000_000)
            #expect(lease.hasEnded)
            await db.close()
        }
    }
}
