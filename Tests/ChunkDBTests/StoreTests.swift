import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import KVModel
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("A store on the simulated disk")
struct StoreTests {
    @Test("gives back what was put, after a reopen too", arguments: [1, 2, 3] as [UInt64])
    func roundTrip(seed: UInt64) throws {
        let machine = SimulatedMachine(seed: seed)
        var db = try machine.open()
        for reopened in [false, true] {
            if reopened {
                let old = db
                machine.run { await old.close() }
                db = try machine.afterRestart().open()
            }
            let store = db
            let intact = try machine.run { () async throws(StoreError) -> [Bool?] in
                let namespace = try await store.namespace("acme", model: smallBinding())
                var results: [Bool?] = []
                for owner in 0..<20 as Range<UInt64> {
                    if !reopened { try await TestChunk(owner).put(in: namespace) }
                    results.append(try await TestChunk(owner).isIntact(in: namespace))
                }
                results.append(try await TestChunk(99).isIntact(in: namespace))
                return results
            }
            #expect(intact == [Bool?](repeating: true, count: 20) + [nil])
        }
    }
}
