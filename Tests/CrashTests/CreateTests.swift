// CREATE: the making of a store is interrupted after each of its effects. Afterwards the directory
// holds an empty store that works, or no store, in which case one can be made there; never half of
// one that opens.
//
// CHUNKDB_CREATE_CASE=seed:effect:index plays one again, as a failure prints it.

import ChunkDB
import EngineTestSupport
import Foundation
import SegmentLog
import StoreTestSupport
import Testing

@Suite("CREATE: the making of a store is interrupted")
struct CreateTests {
    static let marks = [
        "no store", "a store", "leftovers taken over", "superblock draft left", "process death",
    ]

    @Test("RCV-3 leaves an empty store, or none and room for one", arguments: [1, 2] as [UInt64])
    func everyEffect(seed: UInt64) throws {
        let marks = Marks()
        let machine = Trace.machine(seed)
        machine.disk.startRecording()
        let db = try machine.open()
        let effectCount = machine.disk.effectCount
        machine.run { await db.close() }
        try #require(effectCount > 30)
        for count in 0...effectCount {
            let losses = Survival.menu(seed: UInt64(count)) + [nil]
            for (index, survival) in losses.enumerated() {
                let name = "\(seed):\(count):\(index)"
                let only = ProcessInfo.processInfo.environment["CHUNKDB_CREATE_CASE"]
                if let only, only != name { continue }
                var image = Trace.machine(seed)
                if let survival {
                    image.disk = machine.disk.crash(
                        afterEffects: count, survival, scheduler: image.scheduler)
                } else {
                    image.disk = machine.disk.processDeath(
                        afterEffects: count, seed: UInt64(count), scheduler: image.scheduler)
                    marks.hit("process death")
                }
                let wrong = judge(image, marks)
                #expect(wrong == [], "CHUNKDB_CREATE_CASE=\(name) \(String(describing: survival))")
                if !wrong.isEmpty { return }
                marks.hit("images")
            }
        }
        print("CREATE seed \(seed): \(marks.summary)")
        #expect(marks.missing(of: Self.marks) == [], "\(marks.summary)")
    }

    @Test("MED-1 on a device of larger units no store is made, and nothing is left behind")
    func largerUnits() throws {
        var machine = Trace.machine(1)
        var options = SimulatedDiskOptions(seed: 1)
        options.alignment = 16_384
        machine.disk = SimulatedDisk(scheduler: machine.scheduler, options: options)
        #expect {
            _ = try machine.open()
        } throws: { error in
            if case StoreError.log(.unsupported) = error { true } else { false }
        }
        #expect(machine.disk.effectCount == 0)
    }

    private func judge(_ image: SimulatedMachine, _ marks: Marks) -> [String] {
        let names = image.disk.fileNames
        marks.hit("superblock draft left", if: names.contains(StoreFiles.superblockDraft))
        // First without leave to make one: a store, or a clear word that there is none.
        let asking = image.with { $0.createsIfMissing = false }
        var isStore = false
        do throws(StoreError) {
            let db = try asking.open()
            isStore = true
            let (damages, spaces) = (db.recovery.damages, db.namespaces.count)
            asking.run { await db.close() }
            if !damages.isEmpty { return ["a half store: \(damages)"] }
            if spaces != 0 { return ["a store that is not empty"] }
        } catch {
            asking.run { await asking.disk.shutdown() }
            guard case .log(.notAStore) = error else { return ["refused: \(error)"] }
        }
        marks.hit(isStore ? "a store" : "no store")
        marks.hit("leftovers taken over", if: !isStore && !names.isEmpty)
        // Then with leave: it must work, and go on working.
        var machine = image.afterRestart()
        for turn in 0..<2 {
            do {
                let (db, chunk) = (try machine.open(), OwnedChunk(0))
                let found = try machine.run { () async throws -> OwnedChunk.Found in
                    let space = try await db.namespace("acme", model: OwnedChunk.binding)
                    if turn == 0 {
                        _ = try await chunk.put(1, in: space, .durable, streamed: false)
                    }
                    let found = try await chunk.read(in: space)
                    await db.close()
                    return found
                }
                guard found == .edition(1), db.recovery.damages.isEmpty else {
                    return ["turn \(turn): \(found), \(db.recovery.damages)"]
                }
            } catch {
                return ["turn \(turn): \(error)"]
            }
            machine = machine.afterPowerCut(Survival(.none))
        }
        return []
    }
}

extension SimulatedMachine {
    fileprivate func with(_ change: (inout StoreOptions) -> Void) -> SimulatedMachine {
        var next = self
        change(&next.options)
        return next
    }
}
