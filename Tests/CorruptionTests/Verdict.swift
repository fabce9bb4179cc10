// What a spoiled store answers, and whether it may. The rule of all suites (CONTRACT G-1, N-1 to
// N-4): right bytes, an error that says damaged, or a miss that a report explains; a miss without a
// report only where no mark proves the commit (L-1). Never anything that was removed.

import ChunkDB
import EngineTestSupport
import StoreTestSupport

/// What was seen, so that no suite passes by seeing nothing.
enum Sight: Hashable, Sendable {
    /// All is there and nothing was said.
    case untouched
    /// All is there, and something was mended or ignored.
    case mended
    case damagedRead, reportedMiss, tornTail, refused
}

enum Answer: Sendable {
    case intact, wrong, missing, damaged
    case failed(StoreError)
}

struct Opened: Sendable {
    var report: RecoveryReport
    var answers: [Item: Answer]
    /// Answers of items that must be gone: names of namespaces count too.
    var returned: [String]

    /// What is not there, said or unsaid.
    var lost: Set<Item> {
        Set(answers.filter { if case .intact = $0.value { false } else { true } }.keys)
    }

    var isAllThere: Bool {
        returned.isEmpty
            && answers.values.allSatisfy { if case .intact = $0 { true } else { false } }
    }
}

extension Victim {
    /// Opens and reads everything. The store is closed only where a test goes on with the medium:
    /// closing writes a checkpoint. `puts`: as an application does, with damage or without.
    func read(_ machine: SimulatedMachine, closes: Bool = false, puts: Bool = false)
        throws(StoreError) -> Opened
    {
        let (present, removed) = (present, removed)
        return try machine.run { () async throws(StoreError) -> Opened in
            let db: ChunkDB
            do throws(StoreError) {
                db = try await machine.openAsync()
            } catch {
                // A refused opening lets go of what it took, as `open(at:)` does.
                await machine.disk.shutdown()
                throw error
            }
            var opened = Opened(report: db.recovery, answers: [:], returned: [])
            for item in present { opened.answers[item] = await self.answer(item, db) }
            for item in removed {
                if case .missing = await self.answer(item, db) { continue }
                opened.returned.append("\(item) came back")
            }
            if db.namespace("gone") != nil { opened.returned.append("a dropped namespace") }
            if puts, let space = db.namespace(Self.late.space) {
                _ = try? await Self.late.chunk.put(in: space)
            }
            for space in db.namespaces {
                let known = Set(
                    (present + [Self.late]).filter { $0.space == space.name }.map { item in
                        Named(item.chunk.key(in: space), item.context(in: space).variantID)
                    })
                let strangers = Strangers()
                space.forEachEntry { entry in
                    if !known.contains(Named(entry.key, entry.variant)) { strangers.count += 1 }
                    return true
                }
                if strangers.count > 0 {
                    opened.returned.append("\(strangers.count) entries that nobody put")
                }
            }
            if closes { await db.close() }
            return opened
        }
    }

    /// What tests put after the harm was done. It need not be there: the store may take no writes.
    private static let late = Item(space: "acme", owner: 90)

    private struct Named: Hashable {
        let key: ChunkKey
        let variant: VariantID
        init(_ key: ChunkKey, _ variant: VariantID) { (self.key, self.variant) = (key, variant) }
    }

    private final class Strangers { var count = 0 }

    func answer(_ item: Item, _ db: ChunkDB) async -> Answer {
        guard let space = db.namespace(item.space) else { return .missing }
        do throws(StoreError) {
            let chunk = item.chunk
            let variant = item.context(in: space).variantID
            guard let data = try await space.get(chunk.key(in: space), variant: variant) else {
                return .missing
            }
            for (layer, planes) in planes[item]!.enumerated() {
                if data.plane(layer: layer, .keys) != planes.keys { return .wrong }
                if data.plane(layer: layer, .values) != planes.values { return .wrong }
            }
            return data.metadata.tokens == chunk.tokens ? .intact : .wrong
        } catch {
            if case .damaged = error { return .damaged }
            return .failed(error)
        }
    }

    /// Everything that is wrong with an answer, and what was seen.
    func judge(_ opened: Opened, allowsTornTail: Bool = true) -> (wrong: [String], Set<Sight>) {
        var wrong = opened.returned
        var seen: Set<Sight> = []
        for (item, answer) in opened.answers {
            switch answer {
            case .intact: break
            case .wrong: wrong.append("\(item): bytes of somebody else")
            case .damaged: seen.insert(.damagedRead)
            case .failed(let error): wrong.append("\(item): \(error)")
            case .missing where isExplained(item, opened.report): seen.insert(.reportedMiss)
            case .missing where allowsTornTail && unproven.contains(item): seen.insert(.tornTail)
            case .missing: wrong.append("\(item): lost without a word")
            }
        }
        if opened.isAllThere {
            let report = opened.report
            let isSilent =
                report.damages.isEmpty && report.repairedSuperblockCopies.isEmpty
                && report.repairedJournalCopies.isEmpty
                && (report.checkpointIgnored == nil || report.checkpointIgnored == "there is none")
            seen.insert(isSilent ? .untouched : .mended)
        }
        return (wrong, seen)
    }

    /// A report covers a record that it names, a file of which it says that the header or the chain
    /// does not open, and every member of the commits that it calls missing, and of no others.
    private func isExplained(_ item: Item, _ report: RecoveryReport) -> Bool {
        guard let record = record(of: item) else { return false }
        return report.damages.contains { damage in
            if let missing = damage.missingCommits { return missing.contains(record.commit) }
            if damage.reason.contains("no description") { return true }
            guard damage.file == record.file else { return false }
            return damage.offset == 0 || damage.offset == record.location.offset
                || damage.reason.contains("RCV-7")
        }
    }
}

extension RecoveryReport.Damage {
    /// What REC-9 says is gone: from the commit behind the next one that was found.
    var missingCommits: ClosedRange<UInt64>? {
        if let match = reason.firstMatch(of: /commits (\d+) to (\d+) were flushed/) {
            return UInt64(match.1)!...UInt64(match.2)!
        }
        guard let match = reason.firstMatch(of: /commit (\d+) is missing/) else { return nil }
        let last = UInt64(match.1)!
        let before = reason.firstMatch(of: /; (\d+) is the next one before it/)
        return (before.map { UInt64($0.1)! + 1 } ?? 0)...last
    }
}

extension RecoveryReport {
    /// Whether the newest commits are missed, which only a mark can tell.
    var missesTheEnd: Bool {
        damages.contains { $0.reason.contains("were flushed and are gone") }
    }
}
