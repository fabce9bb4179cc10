// A put that replaces: the new bytes from then on, and never again the old ones. Crashes between
// are in SIM and CRASH, whose lives replace too.

import ChunkDB
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Replacing")
struct ReplaceTests {
    @Test("P-5 P-6 the newest bytes count, also without a checkpoint", arguments: [false, true])
    func newest(isBare: Bool) throws {
        let machine = SimulatedMachine(seed: 1)
        let chunk = OwnedChunk(2)
        let db = try machine.open()
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: OwnedChunk.binding)
            for edition in 1...4 as ClosedRange<UInt64> {
                // The second is only accepted when the third comes.
                let level: Durability = edition == 2 ? .accepted : .durable
                let outcome = try await chunk.put(
                    edition, in: acme, level, streamed: edition % 2 == 0,
                    replacing: edition > 1)
                #expect(outcome == .committed)
                #expect(try await chunk.read(in: acme) == .edition(edition))
            }
            #expect(
                try await chunk.put(9, in: acme, .durable, streamed: true) == .alreadyPresent)
            #expect(acme.entryCount == 1)
            #expect(acme.statistics.storedBytes == acme.contains(chunk.key(in: acme))?.diskBytes)
            await db.close()
        }
        let next = machine.afterRestart()
        if isBare { try next.run { () async throws in try await next.disk.unlink("checkpoint") } }
        let again = try next.open()
        #expect(again.recovery.damages == [])
        try next.run { () async throws in
            let acme = try #require(again.namespace("acme"))
            #expect(try await chunk.read(in: acme) == .edition(4))
            await again.close()
        }
    }

    @Test(
        "D-2 damage of the new record does not bring the old one back, forgotten or not",
        arguments: [false, true])
    func damaged(isForgotten: Bool) throws {
        var machine = SimulatedMachine(seed: 2)
        // The third is not pinned.
        let (chunk, other) = (OwnedChunk(4), OwnedChunk(0))
        machine.options.namespaces["acme", default: .init()].entryCountMax = isForgotten ? 1 : nil
        let db = try machine.open()
        let place = try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: OwnedChunk.binding)
            for edition in 1...2 as ClosedRange<UInt64> {
                _ = try await chunk.put(
                    edition, in: acme, .durable, streamed: false, replacing: true)
                // It is forgotten for another one, and its bytes are still in the log.
                if isForgotten, edition == 1 {
                    _ = try await other.put(1, in: acme, .durable, streamed: false)
                    #expect(acme.contains(chunk.key(in: acme)) == nil)
                }
            }
            let entry = try #require(acme.contains(chunk.key(in: acme)))
            await db.close()
            return entry.extent
        }
        let next = machine.afterRestart()
        let name = "segments/0000000\(place.segment.raw)"
        next.disk.setBytes([UInt8](repeating: 7, count: 4_096), of: name, at: Int(place.offset))
        try next.run { () async throws in try await next.disk.unlink("checkpoint") }
        let again = try next.open()
        #expect(again.recovery.damages != [])
        try next.run { () async throws in
            let acme = try #require(again.namespace("acme"))
            do throws(StoreError) {
                #expect(try await chunk.read(in: acme) == .missing)
            } catch {
                guard case .damaged = error else { throw error }
            }
            await again.close()
        }
    }

    @Test("a batch, which is all or nothing, replaces nothing")
    func batch() throws {
        let machine = SimulatedMachine(seed: 3)
        let chunk = OwnedChunk(2)
        let db = try machine.open()
        try machine.run { () async throws in
            let acme = try await db.namespace("acme", model: OwnedChunk.binding)
            var batch = db.batch()
            var writer = try await acme.beginPut(
                chunk.key(in: acme), tokens: chunk.tokens, replacing: true)
            for (layer, planes) in chunk.layers(1).enumerated() {
                try await writer.append(layer: layer, keys: planes.keys, values: planes.values)
            }
            var refusal: StoreError?
            do throws(StoreError) { try batch.put(writer) } catch { refusal = error }
            guard case .shape? = refusal else {
                Issue.record("\(refusal as Any)")
                return
            }
            #expect(try await batch.commit() == [])
            await db.close()
        }
    }
}
