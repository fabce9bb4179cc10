// A cancelled call ends its caller's wait and nothing else (CONTRACT X-1). The device sits on one
// request of the call; the simulated disk traps when its memory changes or its range is written
// meanwhile (N-9).

import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import KVModel
import Primitives
import SegmentLog
import StoreTestSupport
import Synchronization
import Testing

private let second: UInt64 = 1_000_000_000

/// A call that waits, on a store in which chunk 0 is durable and chunk 1 only written.
private struct WaitingCall: Sendable, CustomStringConvertible {
    let name: String
    let body: @Sendable (ChunkDB, Namespace) async throws(StoreError) -> Void
    var description: String { name }

    static let all: [WaitingCall] = [
        WaitingCall(name: "get") { _, space throws(StoreError) in
            #expect(try await TestChunk(0).isIntact(in: space) == true)
        },
        WaitingCall(name: "read into a buffer") { _, space throws(StoreError) in
            var buffer = AlignedBuffer(byteCount: 64 << 10)
            do throws(StoreError) {
                _ = try await space.read(TestChunk(0).key(in: space), into: &buffer)
            } catch {
                // The old memory may be written for a while: the caller has another one.
                #expect(error == .cancelled && buffer.byteCount == 64 << 10)
                throw error
            }
        },
        WaitingCall(name: "locate") { _, space throws(StoreError) in
            _ = try await space.locate(TestChunk(0).key(in: space))
        },
        WaitingCall(name: "put, durable") { _, space throws(StoreError) in
            try await TestChunk(7).put(in: space)
        },
        WaitingCall(name: "put, written") { _, space throws(StoreError) in
            try await TestChunk(7).put(in: space, durability: .written)
        },
        WaitingCall(name: "put, accepted") { _, space throws(StoreError) in
            try await TestChunk(7).put(in: space, durability: .accepted)
        },
        WaitingCall(name: "put of what is there") { _, space throws(StoreError) in
            try await TestChunk(1).put(in: space)
        },
        WaitingCall(name: "batch commit") { db, space throws(StoreError) in
            var batch = db.batch()
            for owner in 7..<9 as Range<UInt64> {
                let chunk = TestChunk(owner)
                var writer = try await space.beginPut(
                    chunk.key(in: space), tokens: chunk.tokens)
                for (layer, planes) in chunk.layers(space.binding).enumerated() {
                    try await writer.append(layer: layer, keys: planes.keys, values: planes.values)
                }
                try batch.put(writer)
            }
            _ = try await batch.commit()
        },
        WaitingCall(name: "remove") { _, space throws(StoreError) in
            try await space.remove(TestChunk(0).key(in: space))
        },
        WaitingCall(name: "barrier") { db, _ throws(StoreError) in try await db.barrier() },
        WaitingCall(name: "checkpoint") { db, _ throws(StoreError) in try await db.checkpoint() },
        WaitingCall(name: "namespace") { db, _ throws(StoreError) in
            _ = try await db.namespace("new", model: smallBinding())
        },
        WaitingCall(name: "drop") { db, space throws(StoreError) in
            _ = try await db.drop(db.namespace("other", model: smallBinding()))
        },
    ]
}

/// How a call ended, if it did.
private final class Ending: Sendable {
    let error = Mutex<StoreError??>(nil)
    var hasEnded: Bool { error.withLock { $0 != nil } }
    var isCancelled: Bool { error.withLock { $0 == .some(.cancelled) } }

    static func of(
        _ scheduler: SeededScheduler,
        _ body: @escaping @Sendable () async throws(StoreError) -> Void
    ) -> (Ending, Task<Void, Never>) {
        let ending = Ending()
        let task = Task(executorPreference: scheduler) {
            do throws(StoreError) {
                try await body()
                ending.error.withLock { $0 = .some(nil) }
            } catch {
                ending.error.withLock { $0 = error }
            }
        }
        return (ending, task)
    }
}

@Suite("Cancelled calls")
struct CancellationTests {
    /// *Returns:* chunks 0, 1, 2 and 7 as they read.
    private static func contents(_ space: Namespace) async throws(StoreError) -> [Bool?] {
        var found: [Bool?] = []
        for owner in [0, 1, 2, 7] as [UInt64] {
            found.append(try await TestChunk(owner).isIntact(in: space))
        }
        return found
    }

    /// *Returns:* whether the call had so many requests, and whether it was cancelled.
    private static func cancel(_ call: WaitingCall, atRequest number: Int) throws
        -> (wasHeld: Bool, wasCancelled: Bool)
    {
        let machine = SimulatedMachine(seed: UInt64(number))
        let scheduler = machine.scheduler
        let db = try machine.open()
        let space = try machine.run { () async throws(StoreError) in
            let space = try await db.namespace("acme", model: smallBinding())
            _ = try await db.namespace("other", model: smallBinding())
            try await TestChunk(0).put(in: space)
            try await TestChunk(1).put(in: space, durability: .written)
            return space
        }
        let outcome = try machine.run { () async throws(StoreError) in
            machine.disk.hold(number: number)
            let (ending, task) = Ending.of(scheduler) { () async throws(StoreError) in
                try await call.body(db, space)
            }
            await scheduler.clock.sleep(nanoseconds: second)
            let wasHeld = machine.disk.heldCount == 1
            let hadEnded = ending.hasEnded
            #expect(wasHeld || hadEnded, "\(call) \(number): waits for nothing")
            task.cancel()
            await scheduler.clock.sleep(nanoseconds: 1_000)
            #expect(ending.hasEnded, "\(call) \(number): waits on")
            let wasCancelled = ending.isCancelled
            #expect(wasCancelled == (wasHeld && !hadEnded), "\(call) \(number)")
            if !wasHeld { machine.disk.hold(number: .max) }
            // Others meanwhile; what shares the held group waits with it.
            let (other, _) = Ending.of(scheduler) { () async throws(StoreError) in
                try await TestChunk(2).put(in: space)
            }
            let (closing, _) = Ending.of(scheduler) { () async throws(StoreError) in
                await scheduler.clock.sleep(nanoseconds: 2 * second)
                await db.close()
            }
            await scheduler.clock.sleep(nanoseconds: 4 * second)
            #expect(
                closing.hasEnded == !wasHeld, "\(call) \(number): close beside a request in flight")
            machine.disk.release()
            await scheduler.clock.sleep(nanoseconds: second)
            #expect(closing.hasEnded && other.hasEnded, "\(call) \(number): after the release")
            return (wasHeld, wasCancelled)
        }
        // The next process finds a whole store: what was durable, and of the rest all or nothing.
        let next = machine.afterRestart()
        let again = try next.open()
        #expect(again.recovery.damages.isEmpty, "\(call) \(number)")
        let found = try next.run { () async throws(StoreError) in
            let space = try await again.namespace("acme", model: smallBinding())
            let found = try await Self.contents(space)
            await again.close()
            return found
        }
        #expect(!found.contains(false), "\(call) \(number): \(found)")
        #expect(found[0] == true || call.name == "remove", "\(call) \(number): chunk 0")
        #expect(found[1] == true && found[2] == true, "\(call) \(number): \(found)")
        return outcome
    }

    @Test(
        "X-1 X-2 N-9 end at once at any of their requests, and the store stays whole",
        arguments: WaitingCall.all)
    private func atAnyRequest(_ call: WaitingCall) throws {
        var (number, cancelledCount) = (0, 0)
        while number < 40 {
            number += 1
            let (wasHeld, wasCancelled) = try Self.cancel(call, atRequest: number)
            if wasCancelled { cancelledCount += 1 }
            if !wasHeld { break }
        }
        #expect(cancelledCount > 0 || call.name == "put, accepted", "never held anything")
    }

    @Test("X-1 change nothing when they were cancelled before", arguments: WaitingCall.all)
    private func before(_ call: WaitingCall) throws {
        let machine = SimulatedMachine(seed: 3)
        let db = try machine.open()
        let space = try machine.run { () async throws(StoreError) in
            let space = try await db.namespace("acme", model: smallBinding())
            try await TestChunk(0).put(in: space)
            try await TestChunk(1).put(in: space, durability: .written)
            return space
        }
        let effects = machine.disk.effectCount
        machine.run {
            let (ending, task) = Ending.of(machine.scheduler) { () async throws(StoreError) in
                try await call.body(db, space)
            }
            task.cancel()
            await task.value
            #expect(ending.isCancelled, "\(call)")
            await machine.scheduler.clock.sleep(nanoseconds: second)
        }
        #expect(machine.disk.effectCount == effects, "\(call)")
        machine.run { await db.close() }
    }

    @Test("X-1 end an append that waits for its writes; its memory is not used meanwhile")
    func whileAppending() throws {
        var machine = SimulatedMachine(seed: 5, segmentSize: .mebibytes(32))
        machine.options.digestBlockShift = 16
        let (machine_, db) = (machine, try machine.open())
        try machine.run { () async throws(StoreError) in
            let (machine, scheduler) = (machine_, machine_.scheduler)
            let space = try await db.namespace("wide", model: smallBinding(layers: 12, heads: 8))
            try await TestChunk(0, tokenCount: 8).put(in: space)
            machine.disk.hold(number: 1, andAllAfter: true)
            let (ending, task) = Ending.of(scheduler) { () async throws(StoreError) in
                try await TestChunk(7, tokenCount: 240).put(in: space)
            }
            await scheduler.clock.sleep(nanoseconds: second)
            #expect(!ending.hasEnded && machine.disk.heldCount == 8)
            task.cancel()
            await task.value
            #expect(ending.isCancelled && machine.disk.heldCount == 8)
            machine.disk.hold(number: .max)
            // Takes staging memory and a place; the disk traps when they are the held ones'.
            try await TestChunk(8, tokenCount: 240).put(in: space)
            machine.disk.release()
            await scheduler.clock.sleep(nanoseconds: second)
            #expect(try await TestChunk(8, tokenCount: 240).isIntact(in: space) == true)
            #expect(try await TestChunk(7, tokenCount: 240).isIntact(in: space) == nil)
            await db.close()
        }
        let again = try machine.afterRestart().open()
        #expect(again.recovery.damages.isEmpty)
    }

    @Test("X-1 are an answer or a cancellation when both come at once")
    func race() throws {
        var (answered, cancelled) = (0, 0)
        for seed in 1...60 as ClosedRange<UInt64> {
            let machine = SimulatedMachine(seed: seed)
            let db = try machine.open()
            let ended = try machine.run { () async throws(StoreError) in
                let space = try await db.namespace("acme", model: smallBinding())
                let (ending, task) = Ending.of(machine.scheduler) { () async throws(StoreError) in
                    try await TestChunk(7).put(in: space)
                }
                await machine.scheduler.clock.sleep(nanoseconds: 50_000 * seed)
                task.cancel()
                await task.value
                let wasCancelled = ending.isCancelled
                // What was acknowledged is there; what was cancelled is whole or absent.
                await machine.scheduler.clock.sleep(nanoseconds: second)
                let found = try await TestChunk(7).isIntact(in: space)
                #expect(found == true || (wasCancelled && found == nil), "seed \(seed)")
                await db.close()
                return wasCancelled
            }
            if ended { cancelled += 1 } else { answered += 1 }
        }
        #expect(answered > 0 && cancelled > 0)
    }

    @Test("X-1 leave what a dictionary says: 200 lives")
    func lives() throws {
        var cancelledCount = 0
        for seed in 1...200 as ClosedRange<UInt64> { cancelledCount += try CancelledLife.run(seed) }
        print("CANCEL: 200 lives, \(cancelledCount) cancelled calls")
        #expect(cancelledCount > 1_000)
    }

    @Test(
        "X-2 leave a device that does not answer noted: once a request, also when it answers late")
    func stalled() throws {
        let machine = SimulatedMachine(seed: 4)
        let db = try machine.open()
        let counts = try machine.run { () async throws(StoreError) in
            let clock = machine.scheduler.clock
            let space = try await db.namespace("acme", model: smallBinding())
            try await TestChunk(0).put(in: space)
            var counts = [db.counters.stalledCount]
            machine.disk.hold(number: 1)
            let (_, task) = Ending.of(machine.scheduler) { () async throws(StoreError) in
                _ = try await space.get(TestChunk(0).key(in: space))
            }
            await clock.sleep(nanoseconds: 9 * second)
            _ = try await TestChunk(1).put(in: space)
            counts.append(db.counters.stalledCount)
            task.cancel()
            await clock.sleep(nanoseconds: 2 * second)
            for owner in 2..<5 as Range<UInt64> { _ = try await TestChunk(owner).put(in: space) }
            counts.append(db.counters.stalledCount)
            machine.disk.release()
            await clock.sleep(nanoseconds: second)
            counts.append(db.counters.stalledCount)
            machine.disk.hold(number: 1)
            let (late, _) = Ending.of(machine.scheduler) { () async throws(StoreError) in
                #expect(try await TestChunk(0).isIntact(in: space) == true)
            }
            await clock.sleep(nanoseconds: 11 * second)
            machine.disk.release()
            await clock.sleep(nanoseconds: second)
            #expect(late.hasEnded)
            counts.append(db.counters.stalledCount)
            await db.close()
            return counts
        }
        #expect(counts == [0, 0, 1, 1, 2])
    }

    @Test("X-2 end at their deadline")
    func deadline() async throws {
        await #expect(throws: StoreError.cancelled) {
            try await withDeadline(.milliseconds(30)) { () async throws(StoreError) in
                do { try await Task.sleep(for: .seconds(1_000_000)) } catch { throw .cancelled }
            }
        }
        let value = try await withDeadline(.seconds(1_000_000)) { () async throws(StoreError) in 5 }
        #expect(value == 5)
        await #expect(throws: StoreError.invalidName("x")) {
            try await withDeadline(.seconds(1_000_000)) { () async throws(StoreError) in
                throw StoreError.invalidName("x")
            }
        }
    }
}

/// What is shared between a test and its tasks.
private final class Box<Value: Sendable>: Sendable {
    private let state: Mutex<Value>
    init(_ value: Value) { state = Mutex(value) }
    var value: Value {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}

/// Random calls on few keys, many of them cancelled at a random moment.
private enum CancelledLife {
    static func run(_ seed: UInt64) throws -> Int {
        var machine = SimulatedMachine(
            seed: seed, capacity: .mebibytes(32), segmentSize: .kibibytes(128))
        machine.options.commitsPerCheckpoint = 9
        let states = Box([UInt64: Set<Bool>]())
        var count = 0
        for life in 0..<2 as Range<UInt64> {
            let db = try machine.open()
            #expect(db.recovery.damages.isEmpty, "seed \(seed)")
            let (machine_, generator) = (machine, SeededGenerator(seed: seed * 2 + life))
            count += try machine.run { () async throws(StoreError) in
                try await live(machine_, db, states, generator, "seed \(seed), life \(life)")
            }
            machine = machine.afterRestart()
        }
        return count
    }

    private static func live(
        _ machine: SimulatedMachine, _ db: ChunkDB, _ states: Box<[UInt64: Set<Bool>]>,
        _ seed: SeededGenerator, _ what: String
    ) async throws(StoreError) -> Int {
        var generator = seed
        let scheduler = machine.scheduler
        let space = try await db.namespace("acme", model: smallBinding())
        try await check(space, states, what)
        var cancelledCount = 0
        for step in 0..<24 {
            let owner = UInt64.random(in: 0..<6, using: &generator)
            let chunk = TestChunk(owner)
            let kind = Int.random(in: 0..<8, using: &generator)
            let found = Box<Bool??>(nil)
            let (ending, task) = Ending.of(scheduler) { () async throws(StoreError) in
                switch kind {
                case 0, 1: try await chunk.put(in: space)
                case 2: try await chunk.put(in: space, durability: .written)
                case 3: try await chunk.put(in: space, durability: .accepted)
                case 4: try await space.remove(chunk.key(in: space))
                case 5: try await db.barrier()
                case 6: try await db.checkpoint()
                default:
                    let read = try await chunk.isIntact(in: space)
                    found.value = .some(read)
                }
            }
            if Int.random(in: 0..<3, using: &generator) > 0 {
                await scheduler.clock.sleep(
                    nanoseconds: UInt64.random(in: 0...3_000_000, using: &generator))
                task.cancel()
            }
            await task.value
            let allowed = states.value[owner] ?? [false]
            if ending.isCancelled {
                cancelledCount += 1
                // It may come true at any later time: nothing is certain until all is quiet.
                if kind < 5 { states.value[owner] = [true, false] }
            } else {
                #expect(ending.error.withLock { $0 == .some(nil) }, "\(what) step \(step)")
                if let read = found.value {
                    #expect(read != false && allowed.contains(read == true), "\(what) step \(step)")
                }
                if kind < 5, allowed.count == 1 { states.value[owner] = [kind != 4] }
            }
            if step % 8 == 7 {
                await scheduler.clock.sleep(nanoseconds: second)
                try await check(space, states, "\(what) step \(step)")
            }
        }
        await db.close()
        return cancelledCount
    }

    /// All is quiet: what is found is allowed, and certain from now on.
    private static func check(
        _ space: Namespace, _ states: Box<[UInt64: Set<Bool>]>, _ what: String
    ) async throws(StoreError) {
        for owner in 0..<6 as Range<UInt64> {
            let found = try await TestChunk(owner).isIntact(in: space)
            #expect(found != false, "\(what): wrong bytes")
            let allowed = states.value[owner] ?? [false]
            #expect(allowed.contains(found == true), "\(what): chunk \(owner) is \(found as Any)")
            states.value[owner] = [found == true]
        }
    }
}
