// What the observer of requests is told, and that it says it in one line of JSON.

import ChunkDB
import EngineTestSupport
import Foundation
import StoreTestSupport
import Synchronization
import Testing

@Suite("Requests, observed")
struct RequestTests {
    private final class Seen: Sendable {
        let requests = Mutex<[StoreRequest]>([])
    }

    @Test("every use and every new put, and nothing else")
    func observed() throws {
        let seen = Seen()
        var machine = SimulatedMachine(seed: 1)
        machine.options.requestObserver = { request in
            seen.requests.withLock { $0.append(request) }
        }
        let (db, clock) = (try machine.open(), machine.scheduler.clock)
        try machine.run { () async throws in
            let space = try await db.namespace("a\"b\n", model: smallBinding())
            _ = try await TestChunk(1).isIntact(in: space)
            try await TestChunk(1).put(in: space)
            clock.jumpWall(bySeconds: 7)
            try await TestChunk(1).put(in: space)
            _ = try await TestChunk(1).isIntact(in: space)
            try await TestChunk(2).put(in: space, durability: .accepted)
            await db.close()
        }
        let requests = seen.requests.withLock { $0 }
        #expect(requests.map(\.event) == [.put, .use, .put])
        #expect(requests.map(\.tokenCount) == [16, 16, 16])
        #expect(requests[1].seconds >= 7 && requests[0].seconds < 7)
        #expect(requests[0].key == requests[1].key && requests[1].key != requests[2].key)
        for request in requests {
            let line = request.jsonLine
            #expect(!line.contains("\n"))
            let object = try #require(
                try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            #expect(object["namespace"] as? String == "6122620a")
            #expect(object["key"] as? String == "\(request.key)")
            #expect(object["bytes"] as? Int == Int(request.diskBytes))
        }
    }
}
