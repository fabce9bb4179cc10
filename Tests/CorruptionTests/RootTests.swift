// ROOT: every state of four superblock copies. A copy is good, zeros, one bit off, of the
// generation before, another store's, or cannot be read; SUP-6 says what each mixture means.
//
// CHUNKDB_ROOT=n plays one of the 1,296 states again, as a failure prints it.

import ChunkDB
import EngineTestSupport
import Foundation
import Primitives
import StoreTestSupport
import Testing

@Suite("ROOT: four copies of the superblock")
struct RootTests {
    enum State: Int, CaseIterable { case good, zeroed, flipped, older, foreign, unreadable }

    static let environment = ProcessInfo.processInfo.environment
    static let partCount = 4
    static let victim = try! Victim()
    static let older = victim.superblock
    static let newest = {
        var superblock = older
        superblock.generation += 1
        return superblock
    }()
    /// Another store's, and newer than ours: what a careless copy of a file would leave.
    static let foreign = Superblock(
        storeID: [UInt8](repeating: 0xF0, count: 16), secret: [UInt8](repeating: 0x0F, count: 32),
        generation: 5, alignmentUnit: older.alignmentUnit, segmentBytes: older.segmentBytes,
        capacityBytes: older.capacityBytes, createdSeconds: older.createdSeconds)

    static func states(_ number: Int) -> [State] {
        var rest = number
        return (0..<4).map { _ in
            defer { rest /= 6 }
            return State(rawValue: rest % 6)!
        }
    }

    /// What two copies agree on, the newest of it first.
    static func expected(_ states: [State]) -> Superblock? {
        if states.count(where: { $0 == .foreign }) >= 2 { return foreign }
        if states.count(where: { $0 == .good }) >= 2 { return newest }
        if states.count(where: { $0 == .older }) >= 2 { return older }
        return nil
    }

    private func spoil(_ disk: SimulatedDisk, _ states: [State]) {
        for (copy, state) in states.enumerated() {
            var block = Self.newest.encode(copyIndex: copy)
            switch state {
            case .good: break
            case .zeroed: block = [UInt8](repeating: 0, count: 4_096)
            case .flipped: block[(copy * 37 + 5) % 136] ^= UInt8(1 << copy)
            case .older: block = Self.older.encode(copyIndex: copy)
            case .foreign: block = Self.foreign.encode(copyIndex: copy)
            // The copies are what an opening reads first, in their order.
            case .unreadable: disk.fail(.read, number: copy + 1, errorNumber: 5)
            }
            disk.setBytes(block, of: "superblock", at: copy * 65_536)
        }
    }

    @Test(
        "SUP-2 SUP-6 SUP-9 a quorum opens with everything and is mended, the rest is refused whole",
        arguments: 0..<RootTests.partCount)
    func everyState(part: Int) throws {
        var counts: [Sight: Int] = [:]
        let only = Self.environment["CHUNKDB_ROOT"].flatMap(Int.init)
        for number in 0..<1_296 where number % Self.partCount == part {
            if let only, only != number { continue }
            let states = Self.states(number)
            let machine = Self.victim.image()
            spoil(machine.disk, states)
            let before = machine.disk.fileNames.map { machine.disk.bytes(of: $0, 0..<4_096) }
            let chosen = Self.expected(states)
            let what: Comment = "CHUNKDB_ROOT=\(number) \(states)"
            do {
                let opened = try Self.victim.read(machine)
                #expect(chosen != nil && chosen != Self.foreign, what)
                #expect(opened.isAllThere && opened.report.damages.isEmpty, what)
                guard let chosen else { return }
                let bad = (0..<4).filter { states[$0] != (chosen == Self.newest ? .good : .older) }
                #expect(opened.report.repairedSuperblockCopies == bad, what)
                for copy in 0..<4 {
                    let block = machine.disk.bytes(
                        of: "superblock", copy * 65_536..<copy * 65_536 + 4_096)
                    #expect(block == chosen.encode(copyIndex: copy), what)
                }
                counts[bad.isEmpty ? .untouched : .mended, default: 0] += 1
            } catch {
                #expect(chosen == nil || chosen == Self.foreign, "\(what): \(error)")
                switch error {
                case .log(.superblockDamaged(let copies)):
                    #expect(chosen == nil && copies.count == 4, what)
                case .log(.format(let cause, _, _)):
                    // Two copies of another store are a root that opens nothing of this one.
                    #expect(chosen == Self.foreign && cause.clause == "JRN-1", what)
                default: Issue.record("\(what): \(error)")
                }
                let after = machine.disk.fileNames.map { machine.disk.bytes(of: $0, 0..<4_096) }
                #expect(after == before, "\(what): a refusal changes no byte")
                counts[.refused, default: 0] += 1
            }
        }
        guard only == nil else { return }
        #expect(counts[.mended, default: 0] > 50 && counts[.refused, default: 0] > 50)
    }

    @Test("the 1,296 states hold every kind of outcome")
    func outcomes() {
        let all = (0..<1_296).map { Self.expected(Self.states($0)) }
        #expect(all.count { $0 == nil } > 300)
        #expect(all.count { $0 == Self.newest } > 100)
        #expect(all.count { $0 == Self.older } > 100)
        #expect(all.count { $0 == Self.foreign } > 100)
    }
}
