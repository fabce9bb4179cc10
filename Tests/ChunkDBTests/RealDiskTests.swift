import ChunkDB
import EngineTestSupport
import Foundation
import Testing

@Suite("A store on a real disk")
struct RealDiskTests {
    @Test(
        "keeps chunks through close and reopen on every engine",
        arguments: [DiskEngine.automatic, .threads])
    func reopen(engine: DiskEngine) throws {
        let directory = TemporaryDirectory()
        var options = StoreOptions(capacity: .mebibytes(256), segmentSize: .mebibytes(8))
        options.disk.engine = engine
        for round in 0..<3 {
            let db = try ChunkDB.openAndWait(at: directory.path, options: options)
            try db.wait { () async throws(StoreError) in
                let namespace = try await db.namespace("acme", model: smallBinding(layers: 4))
                for owner in 0..<10 as Range<UInt64> {
                    let chunk = TestChunk(owner + UInt64(round) * 10, tokenCount: 100)
                    try await chunk.put(in: namespace)
                }
                for owner in 0..<UInt64(10 * round + 10) {
                    let chunk = TestChunk(owner, tokenCount: 100)
                    let isIntact = try await chunk.isIntact(in: namespace)
                    #expect(isIntact == true)
                }
            }
            #expect(db.recovery.damages.isEmpty)
            db.wait { await db.close() }
        }
    }
}
