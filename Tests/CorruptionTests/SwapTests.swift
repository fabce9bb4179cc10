// SWAP: a write that landed elsewhere, or a read that came from elsewhere (CONTRACT F-D). Records
// of every kind stand where others should.
//
// CHUNKDB_SWAP=first:second:mode:shape plays one case again, as a failure prints it.

import ChunkDB
import EngineTestSupport
import Foundation
import StoreTestSupport
import Testing

@Suite("SWAP: records in each other's places")
struct SwapTests {
    enum Mode: Int, CaseIterable { case copied, exchanged }

    static let environment = ProcessInfo.processInfo.environment
    /// Both shapes, each walked in two parts.
    static let partCount = 4
    static let victims: [Victim] = [
        try! Victim(keepsCheckpoint: true), try! Victim(keepsCheckpoint: false),
    ]

    /// Puts the first record over the second; what does not fit stays behind.
    private func swap(_ one: Found, _ two: Found, _ mode: Mode, on disk: SimulatedDisk) {
        let count = min(one.recordBytes, two.recordBytes)
        let first = disk.bytes(of: one.file, one.offset..<one.offset + count)
        let second = disk.bytes(of: two.file, two.offset..<two.offset + count)
        disk.setBytes(first, of: two.file, at: two.offset)
        if mode == .exchanged { disk.setBytes(second, of: one.file, at: one.offset) }
    }

    @Test(
        "N-1 N-2 N-4 REC-2 COM-5 MED-10 never pass for one another",
        arguments: 0..<SwapTests.partCount)
    func allPairs(part: Int) throws {
        let shape = part % 2
        let victim = Self.victims[shape]
        let only = Self.environment["CHUNKDB_SWAP"]
        var seen: Set<Sight> = []
        var kinds: Set<RecordKind> = []
        for (index, one) in victim.records.enumerated() where index % 2 == part / 2 {
            for (other, two) in victim.records.enumerated() where other != index {
                for mode in Mode.allCases {
                    // To exchange two is the same the other way round.
                    if mode == .exchanged && other < index { continue }
                    let name = "\(index):\(other):\(mode.rawValue):\(shape)"
                    if let only, only != name { continue }
                    let machine = victim.image()
                    swap(one, two, mode, on: machine.disk)
                    let what = "CHUNKDB_SWAP=\(name) \(one.kind) over \(two.kind)"
                    do {
                        let (wrong, sights) = victim.judge(try victim.read(machine))
                        #expect(wrong.isEmpty, "\(what): \(wrong)")
                        seen.formUnion(sights)
                        kinds.formUnion([one.kind, two.kind])
                        if !wrong.isEmpty { return }
                    } catch {
                        Issue.record("\(what): refused: \(error)")
                        return
                    }
                }
            }
        }
        guard only == nil else { return }
        #expect(kinds == [.payload, .tombstone, .namespaceOperation, .commit])
        // Below a checkpoint nobody looks at the log but to read a chunk.
        #expect(seen.isSuperset(of: shape == 0 ? [.damagedRead, .untouched] : [.reportedMiss]))
    }
}
