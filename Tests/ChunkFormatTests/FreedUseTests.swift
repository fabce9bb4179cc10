import KVModel
import Primitives
import Testing

@testable import ChunkFormat

@Suite struct FreedUseTests {
    private static let use = FreedUse(
        segment: SegmentID(7), useSequence: 9, firstCommit: 12, lastCommit: 15, previousCommit: 11,
        commit: 20)
    private static let key = SealKey(
        secret: Samples.secret, label: "journal block", salt: Samples.salt)

    private static func decoded(_ use: FreedUse) throws(FormatError) -> [JournalEntry] {
        try JournalBlock.decode(
            JournalBlock.encode([.freed(use)], blockIndex: 3, key: key), blockIndex: 3, key: key)
    }

    @Test("a freed use comes back as it was written")
    func roundTrip() throws {
        #expect(try Self.decoded(Self.use) == [.freed(Self.use)])
        var empty = Self.use
        (empty.firstCommit, empty.lastCommit, empty.previousCommit) = (0, 0, 0)
        #expect(try Self.decoded(empty) == [.freed(empty)])
    }

    @Test("JRN-9 the commits of a freed use are in order")
    func order() {
        let changes: [(inout FreedUse) -> Void] = [
            { $0.previousCommit = 12 }, { $0.lastCommit = 11 }, { $0.commit = 14 },
            { $0.firstCommit = 0 },
            { ($0.firstCommit, $0.lastCommit) = (0, 0) },
        ]
        for change in changes {
            var use = Self.use
            change(&use)
            #expect { try Self.decoded(use) } throws: { ($0 as? FormatError)?.clause == "JRN-9" }
        }
        var use = Self.use
        use.commit = .max
        #expect { try Self.decoded(use) } throws: { ($0 as? FormatError)?.clause == "FMT-12" }
    }
}
