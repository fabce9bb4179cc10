// Opening what a crash left, and reading all of it.

import BlockIO
import ChunkDB
import Primitives
import SegmentLog
import StoreTestSupport

/// What a store that was opened again gave back.
public struct Examination: Sendable {
    public var violations: [String] = []
    /// `nil` for a key that is not there.
    public var found: [UInt64: UInt64?] = [:]
    public var report = RecoveryReport()

    public init() {}
}

extension Life {
    /// Opens, reads every key, compares it with the model, and closes.
    /// - Parameter going: what to do before closing, for example to go on living.
    public func examine(
        _ machine: SimulatedMachine, owners: Range<UInt64>, after loss: KeyModel.Loss,
        afterEffects count: Int? = nil,
        going: (@Sendable (ChunkDB) async -> Void)? = nil
    ) -> Examination {
        let result: Examination? = machine.scheduler.waitUnlessStuck(stepLimit: 1_000_000) {
            var result = Examination()
            do throws(StoreError) {
                let db = try await machine.openAsync()
                result = await self.read(db, owners, loss, count)
                await going?(db)
                await db.close()
            } catch {
                result.violations.append("does not open: \(error)")
                await machine.disk.shutdown()
            }
            return result
        }
        guard let result else {
            var stuck = Examination()
            stuck.violations = ["opening, reading or closing never ended"]
            return stuck
        }
        return result
    }

    private func read(
        _ db: ChunkDB, _ owners: Range<UInt64>, _ loss: KeyModel.Loss, _ count: Int?
    ) async -> Examination {
        var result = Examination()
        result.report = db.recovery
        result.violations = db.recovery.damages.map { "damage reported: \($0)" }
        for owner in owners {
            let chunk = OwnedChunk(owner)
            do throws(StoreError) {
                let found = try await chunk.read(
                    in: db.namespace(OwnedChunk.spaceName(chunk.space)))
                if let wrong = check(chunk, found, after: loss, afterEffects: count) {
                    result.violations.append(wrong)
                }
                if case .edition(let edition) = found {
                    result.found[owner] = .some(edition)
                } else {
                    result.found[owner] = .some(nil)
                }
            } catch {
                result.violations.append("\(chunk): \(error)")
            }
        }
        return result
    }
}
