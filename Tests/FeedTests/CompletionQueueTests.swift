import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import Feed
import Glibc
import Primitives
import StoreTestSupport
import Testing

@Suite("A completion queue")
struct CompletionQueueTests {
    private func isReadable(_ queue: CompletionQueue, milliseconds: Int32 = 0) -> Bool {
        var wanted = pollfd(fd: queue.descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&wanted, 1, milliseconds) == 1 && wanted.revents == Int16(POLLIN)
    }

    private func put(_ owner: UInt64, _ space: Namespace) -> QueueRequest.Call {
        let chunk = TestChunk(owner, tokenCount: 40)
        return .put(
            QueuePut(
                chunk.key(in: space), tokens: chunk.tokens, layers: chunk.layers(space.binding)))
    }

    private func key(_ owner: UInt64, _ space: Namespace) -> ChunkKey {
        TestChunk(owner, tokenCount: 40).key(in: space)
    }

    /// As an event loop does: polls, then drains.
    private func drive(_ queue: CompletionQueue, _ requests: [QueueRequest])
        -> [UInt64: Result<QueueCompletion.Answer, StoreError>]
    {
        var answers: [UInt64: Result<QueueCompletion.Answer, StoreError>] = [:]
        var accepted = queue.submit(requests)
        while answers.count < requests.count {
            guard isReadable(queue, milliseconds: 60_000) else {
                Issue.record("no answer; \(answers.count) of \(requests.count) so far")
                return answers
            }
            for completion in queue.drain() {
                #expect(answers.updateValue(completion.result, forKey: completion.id) == nil)
            }
            accepted += queue.submit(Array(requests[accepted...]))
        }
        #expect(!isReadable(queue) && queue.room == queue.limit)
        return answers
    }

    @Test(
        "puts, looks up and reads by the batch, answers by the caller's numbers",
        arguments: [DiskEngine.threads, .automatic])
    func batches(engine: DiskEngine) throws {
        let place = StorePlace(.real(engine))
        try place.session { _ = try await $0.namespace("acme", model: oddBinding()) }
        let db = try ChunkDB.openAndWait(at: place.path, options: place.options)
        let space = try #require(db.namespace("acme"))
        let binding = space.binding
        for limit in [1, 3, 100] {
            let queue = try CompletionQueue(limit: limit)
            let owners = 0..<10 as Range<UInt64>
            let stored = drive(
                queue,
                owners.map { QueueRequest(id: 1_000 + $0, space, put($0, space)) })
            for owner in owners {
                guard case .success(.stored(let outcome)) = stored[1_000 + owner] else {
                    Issue.record("\(String(describing: stored[1_000 + owner]))")
                    continue
                }
                #expect(outcome == (limit == 1 ? .committed : .alreadyPresent))
            }
            let wanted = owners.map { QueueRequest(id: $0, space, .get(key($0, space))) }
            let lookups = (5..<15 as Range<UInt64>).map {
                QueueRequest(id: 100 + $0, space, .exists(key($0, space)))
            }
            let found = drive(
                queue, wanted + lookups + [QueueRequest(id: .max, space, .get(key(77, space)))])
            for owner in owners {
                guard case .success(.chunk(let chunk?)) = found[owner] else {
                    Issue.record("\(String(describing: found[owner]))")
                    continue
                }
                let expected = TestChunk(owner, tokenCount: 40).layers(binding)
                #expect(areEqual(chunk.data.plane(layer: 1, .keys), expected[1].keys))
                #expect(areEqual(chunk.data.plane(layer: 0, .values), expected[0].values))
            }
            for owner in 5..<15 as Range<UInt64> {
                guard case .success(.entry(let entry)) = found[100 + owner] else {
                    Issue.record("\(String(describing: found[100 + owner]))")
                    continue
                }
                #expect((entry != nil) == (owner < 10))
            }
            guard case .success(.chunk(nil)) = found[.max] else {
                Issue.record("\(String(describing: found[.max]))")
                continue
            }
        }
        db.wait { await db.close() }
    }

    @Test("reads into the caller's own memory, which comes back")
    func callersMemory() throws {
        let place = StorePlace(.real(.threads))
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding())
            try await TestChunk(1, tokenCount: 40).put(in: space)
        }
        let db = try ChunkDB.openAndWait(at: place.path, options: place.options)
        let space = try #require(db.namespace("acme"))
        let queue = try CompletionQueue(limit: 8)
        let target = QueueBuffer(AlignedBuffer(byteCount: 1 << 20))
        let small = QueueBuffer(AlignedBuffer(byteCount: 4_096))
        let answers = drive(
            queue,
            [
                QueueRequest(id: 1, space, .read(key(1, space), layers: 1..<2, into: target)),
                QueueRequest(id: 2, space, .read(key(1, space), into: small)),
            ])
        guard case .success(.planes(let map?)) = answers[1] else {
            Issue.record("\(String(describing: answers[1]))")
            return
        }
        let range = try #require(map.byteRange(layer: 1, .values))
        let expected = TestChunk(1, tokenCount: 40).layers(space.binding)[1].values
        #expect(target.withBytes { areEqual(Array($0[range]), expected) })
        guard case .failure(.shape) = answers[2] else {
            Issue.record("\(String(describing: answers[2]))")
            return
        }
        db.wait { await db.close() }
        let late = drive(queue, [QueueRequest(id: 3, space, .get(key(1, space)))])
        guard case .failure(.log(.closed)) = late[3] else {
            Issue.record("\(String(describing: late[3]))")
            return
        }
    }

    @Test("one buffer is one request's at a time: a second is refused, and harms nothing")
    func sharedMemory() throws {
        let store = ObservedStore(seed: 63)
        try store.session { db, disk in
            let space = try await db.namespace("acme", model: smallBinding())
            let chunk = TestChunk(1, tokenCount: 40)
            try await chunk.put(in: space)
            _ = try await space.locate(key(1, space))
            let clock = store.machine.scheduler.clock
            let queue = try CompletionQueue(limit: 4, executor: store.machine.scheduler)
            let buffer = QueueBuffer(disk.makeReadBuffer(byteCount: 1 << 20))
            func request(_ id: UInt64) -> QueueRequest {
                QueueRequest(id: id, space, .read(key(1, space), into: buffer))
            }
            disk.inner.hold(number: 1, andAllAfter: true)
            #expect(queue.submit([request(1)]) == 1)
            await clock.sleep(nanoseconds: 1_000_000)
            #expect(queue.submit([request(2)]) == 1)
            await clock.sleep(nanoseconds: 1_000_000)
            let refused = queue.drain()
            #expect(refused.map(\.id) == [2])
            guard case .failure(.shape(what: "buffer", _, _)) = refused.first?.result else {
                Issue.record("\(refused)")
                return
            }
            disk.inner.release()
            await clock.sleep(nanoseconds: 1_000_000_000)
            // It came back, with what the first had asked for, and can be handed in again.
            let answered = queue.drain()
            guard case .success(.planes(let map?)) = answered.first?.result else {
                Issue.record("\(answered)")
                return
            }
            let range = try #require(map.byteRange(layer: 0, .keys))
            let expected = chunk.layers(space.binding)[0].keys
            #expect(buffer.withBytes { areEqual(Array($0[range]), expected) })
            #expect(queue.submit([request(3)]) == 1)
            await clock.sleep(nanoseconds: 1_000_000_000)
            #expect(queue.drain().map(\.id) == [3])
        }
    }

    @Test("accepts no more than its limit before answers are drained")
    func backPressure() throws {
        let store = ObservedStore(seed: 61)
        try store.session { db, disk in
            let space = try await db.namespace("acme", model: smallBinding())
            for owner in 0..<6 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 40).put(in: space)
                _ = try await space.locate(key(owner, space))
            }
            let clock = store.machine.scheduler.clock
            let queue = try CompletionQueue(limit: 4, executor: store.machine.scheduler)
            _ = disk.takeReads()
            disk.inner.hold(number: 1, andAllAfter: true)
            let requests = (0..<6 as Range<UInt64>).map {
                QueueRequest(id: $0, space, .get(key($0, space)))
            }
            #expect(queue.submit(requests) == 4)
            #expect(queue.submit(Array(requests[4...])) == 0 && queue.room == 0)
            await clock.sleep(nanoseconds: 1_000_000_000)
            // Four chunks of one read each, and not a byte more.
            #expect(disk.takeReads().count == 4)
            #expect(!isReadable(queue) && queue.drain().isEmpty)
            disk.inner.release()
            await clock.sleep(nanoseconds: 1_000_000_000)
            // Answered is not drained.
            #expect(isReadable(queue) && queue.room == 0)
            #expect(queue.submit(Array(requests[4...])) == 0)
            #expect(queue.drain(limit: 0).isEmpty)
            #expect(queue.drain(limit: 3).count == 3)
            // One is left.
            #expect(isReadable(queue) && queue.room == 3)
            #expect(queue.submit(Array(requests[4...])) == 2)
            await clock.sleep(nanoseconds: 1_000_000_000)
            #expect(Set(queue.drain().map(\.id)).isSuperset(of: [4, 5]))
            #expect(!isReadable(queue) && queue.room == 4)
            // Lookups are answered at once, and count as well.
            let lookups = (0..<6 as Range<UInt64>).map {
                QueueRequest(id: $0, space, .exists(key($0, space)))
            }
            #expect(queue.submit(lookups) == 4 && isReadable(queue))
            #expect(queue.drain().map(\.id) == [0, 1, 2, 3] && !isReadable(queue))
        }
    }

    @Test("X-1 a cancelled call answers at once, and its read keeps its memory")
    func cancelled() throws {
        let store = ObservedStore(seed: 62)
        try store.session { db, disk in
            let space = try await db.namespace("acme", model: smallBinding())
            for owner in 0..<3 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 40).put(in: space)
                _ = try await space.locate(key(owner, space))
            }
            let clock = store.machine.scheduler.clock
            var queue: CompletionQueue? = try CompletionQueue(
                limit: 4, executor: store.machine.scheduler)
            disk.inner.hold(number: 1, andAllAfter: true)
            let requests = (0..<3 as Range<UInt64>).map {
                QueueRequest(id: $0, space, .get(key($0, space)))
            }
            #expect(queue?.submit(requests) == 3)
            await clock.sleep(nanoseconds: 1_000_000)
            #expect(disk.inner.heldCount == 3)
            queue?.cancel(1)
            queue?.cancel(9)
            await clock.sleep(nanoseconds: 1_000_000)
            let answer = try #require(queue?.drain().first)
            #expect(answer.id == 1)
            guard case .failure(.cancelled) = answer.result else {
                Issue.record("\(answer.result)")
                return
            }
            // The simulated disk traps when somebody else has the memory of a read in flight.
            #expect(disk.inner.heldCount == 3 && queue?.room == 2)
            queue = nil
            await clock.sleep(nanoseconds: 1_000_000)
            disk.inner.release()
            await clock.sleep(nanoseconds: 1_000_000)
            for owner in 0..<3 as Range<UInt64> {
                #expect(try await TestChunk(owner, tokenCount: 40).isIntact(in: space) == true)
            }
        }
    }

    @Test("answers with damage where there is some")
    func damage() throws {
        let store = ObservedStore(seed: 63)
        try store.session { db, disk in
            let space = try await db.namespace("acme", model: smallBinding())
            for owner in 0..<2 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 40).put(in: space)
            }
            let located = try #require(try await space.locate(key(1, space)))
            let extent = try #require(located.extent(layer: 1, .keys))
            disk.inner.flip("segments/00000000", byte: Int(extent.fileOffset) + 1, bit: 0)
            let queue = try CompletionQueue(executor: store.machine.scheduler)
            #expect(
                queue.submit([
                    QueueRequest(id: 7, space, .get(key(1, space))),
                    QueueRequest(id: 8, space, .get(key(0, space))),
                ]) == 2)
            await store.machine.scheduler.clock.sleep(nanoseconds: 1_000_000_000)
            var answers: [UInt64: Result<QueueCompletion.Answer, StoreError>] = [:]
            for completion in queue.drain() { answers[completion.id] = completion.result }
            guard case .failure(.damaged(let facts)) = answers[7],
                case .success(.chunk(.some)) = answers[8]
            else {
                Issue.record("\(answers)")
                return
            }
            #expect(facts.key == key(1, space) && facts.cause.clause == "DIG-2")
        }
    }
}
