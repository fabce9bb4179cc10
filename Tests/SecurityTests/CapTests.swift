// S-17, S-22: what one caller can take, and calls that come too late.

import ChunkDB
import EngineTestSupport
import Glibc
import KVModel
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("S-17 S-22: caps and late calls")
struct CapTests {
    @Test("S-22 a tenant who fills the store gets a documented error; others read and remove")
    func fullStore() throws {
        var options = StoreOptions(
            capacity: .mebibytes(2), segmentSize: .kibibytes(128), digestBlockShift: 12)
        options.commitsPerCheckpoint = 1 << 40
        options.evicts = false
        let place = StorePlace(.simulated(seed: 1), options: options)
        try place.session { db in
            let calm = try await db.namespace("calm", model: smallBinding(layers: 1))
            let greedy = try await db.namespace("greedy", model: smallBinding(layers: 4))
            try await TestChunk(1).put(in: calm)
            var refusal: StoreError?
            for owner in 100..<400 as Range<UInt64> where refusal == nil {
                do {
                    try await TestChunk(owner).put(in: greedy)
                } catch let error as StoreError {
                    refusal = error
                }
            }
            guard case .log(.capacityExceeded) = refusal else {
                Issue.record("\(String(describing: refusal))")
                return
            }
            #expect(try await TestChunk(1).isIntact(in: calm) == true)
            try await calm.remove(TestChunk(1).key(in: calm))
            #expect(try await !calm.canGet(TestChunk(1).key(in: calm)))
            #expect(await db.logCounters().allocatedBytes < 4 << 20)
        }
    }

    @Test("S-22 accepted puts beyond the cap wait for room, and none is lost")
    func manyAccepted() throws {
        let place = StorePlace(.simulated(seed: 2))
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 1))
            try await withThrowingTaskGroup { group in
                for owner in 0..<150 as Range<UInt64> {
                    group.addTask {
                        try await TestChunk(owner).put(in: space, durability: .accepted)
                    }
                }
                try await group.waitForAll()
            }
            for owner in 0..<150 as Range<UInt64> {
                #expect(try await TestChunk(owner).isIntact(in: space) == true)
            }
        }
    }

    @Test("S-17 what is called on a store that was closed, on a dropped namespace, or on another's")
    func lateCalls() throws {
        let place = StorePlace(.simulated(seed: 3))
        let other = StorePlace(.simulated(seed: 4))
        let stranger = try other.session { db in
            try await db.namespace("acme", model: smallBinding(layers: 1))
        }
        let late = try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 1))
            try await TestChunk(1).put(in: space)
            await #expect(throws: StoreError.noSuchNamespace("acme")) {
                try await db.drop(stranger)
            }
            #expect(try await TestChunk(1).isIntact(in: space) == true)
            try await db.drop(space)
            await #expect(throws: StoreError.noSuchNamespace("acme")) {
                try await TestChunk(2).put(in: space)
            }
            await #expect(throws: StoreError.noSuchNamespace("acme")) {
                try await space.remove(.zero)
            }
            await #expect(throws: StoreError.noSuchNamespace("acme")) { try await db.drop(space) }
            return db
        }
        let machine = try #require(place.machine)
        machine.run {
            await #expect(throws: StoreError.log(.closed)) { try await late.barrier() }
            await #expect(throws: StoreError.log(.closed)) { try await late.checkpoint() }
            await late.close()
        }
    }

    @Test("S-17 in a fork every call ends at once, and the parent goes on")
    func forked() async {
        await #expect(processExitsWith: .success) {
            let directory = TemporaryDirectory()
            let db = try await ChunkDB.open(at: directory.path, options: realOptions)
            let space = try await db.namespace("acme", model: smallBinding(layers: 1))
            try await TestChunk(1).put(in: space)
            let child = forkProcess()
            if child == 0 {
                // None of this may suspend: no thread would go on, and when the last one ends so
                // does the process, with 0.
                let answers = [
                    await isForked { _ = try await TestChunk(1).isIntact(in: space) },
                    await isForked { try await TestChunk(2).put(in: space) },
                    await isForked { try await space.remove(TestChunk(1).key(in: space)) },
                    await isForked { try await db.barrier() },
                    await isForked { try await db.checkpoint() },
                ]
                await db.close()
                _exit(answers.contains(false) ? 1 : 7)
            }
            var status: Int32 = -1
            _ = unsafe waitpid(child, &status, 0)
            #expect(status == 7 << 8)
            try await TestChunk(2).put(in: space)
            #expect(try await TestChunk(1).isIntact(in: space) == true)
            await db.close()
        }
    }
}

private func isForked(_ call: () async throws -> Void) async -> Bool {
    do {
        try await call()
        return false
    } catch {
        return error as? StoreError == .forked
    }
}

// Swift hides it, since little may be done in the child.
@_silgen_name("fork") private func forkProcess() -> Int32
