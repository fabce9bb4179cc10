// Looking at a store without touching it, also while another process writes it.

import BlockIO
import ChunkDB
import EngineTestSupport
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Inspecting")
struct InspectTests {
    /// What an inspector came to.
    private enum Outcome: Hashable {
        case looked
        case refused(String)
    }

    private static func inspect(_ disk: SimulatedDisk) async -> Outcome {
        // Writable, so that a write would be one: nobody forbids it here.
        let reader = disk.openedAgain()
        defer { Task(executorPreference: disk.scheduler) { await reader.shutdown() } }
        do throws(LogError) {
            let inspection = try await SegmentLog.inspect(reader)
            for (handle, _) in inspection.segments where handle.header.useSequence == 0 {
                return .refused("a use of number 0")
            }
            return .looked
        } catch {
            return .refused("\(error)")
        }
    }

    private static func allBytes(_ disk: SimulatedDisk) -> [String: [UInt8]] {
        Dictionary(uniqueKeysWithValues: disk.fileNames.map { ($0, disk.bytes(of: $0)) })
    }

    @Test(
        "RCV-18 N-6 inspecting what a crash left takes no lock and changes no byte",
        arguments: 1...4 as ClosedRange<UInt64>)
    func images(seed: UInt64) throws {
        let trace = Trace(seed: seed)
        let marks = Marks()
        for count in stride(from: trace.firstCrash, to: trace.effects.count, by: 13) {
            let images = trace.images(afterEffects: count)
            let machine = trace.image(images[(count / 13) % images.count])
            let before = Self.allBytes(machine.disk)
            #expect(machine.run { await Self.inspect(machine.disk) } == .looked, "effect \(count)")
            #expect(Self.allBytes(machine.disk) == before, "effect \(count)")
            #expect(machine.disk.effectCount == 0 && machine.disk.callCount(of: .lock) == 0)
            // An opening would have had something to do: what inspecting left alone.
            let db = try machine.open()
            machine.run { await db.close() }
            marks.hit("mended", if: Self.allBytes(machine.disk) != before)
        }
        #expect(marks.missing(of: ["mended"], atLeast: 5) == [])
    }

    @Test(
        "RCV-18 beside a writer it ends, with a picture or an error, and disturbs nothing",
        arguments: 1...12 as ClosedRange<UInt64>)
    func besideWriter(seed: UInt64) throws {
        // A store of four segments: some are freed and begun again while somebody looks.
        let machine = Trace.machine(seed, isFull: true)
        let db = try machine.open()
        let (outcomes, freedCount) = try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            try await TestChunk(0).put(in: space)
            let lockCount = machine.disk.callCount(of: .lock)
            let outcomes = try await withThrowingTaskGroup(of: Outcome?.self) { group in
                group.addTask {
                    for owner in 1..<40 as Range<UInt64> {
                        try await TestChunk(owner).put(in: space)
                    }
                    try await db.checkpoint()
                    return nil
                }
                for _ in 0..<12 { group.addTask { await Self.inspect(machine.disk) } }
                return try await group.reduce(into: [Outcome]()) { $0 += [$1].compactMap(\.self) }
            }
            #expect(machine.disk.callCount(of: .lock) == lockCount)
            let counters = await db.logCounters()
            #expect(try await TestChunk(39).isIntact(in: space) == true)
            await db.close()
            return (outcomes, counters.freedCount)
        }
        #expect(outcomes.count == 12 && outcomes.contains(.looked), "\(outcomes)")
        #expect(freedCount > 0)
        let next = machine.afterRestart()
        let again = try next.open()
        #expect(again.recovery.damages == [])
        next.run { await again.close() }
    }
}
