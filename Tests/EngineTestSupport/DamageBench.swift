// A closed store to be damaged: what is in it is known, and every byte can be changed.

import BlockIO
import ChunkDB
import ChunkFormat
import KVModel
import Primitives
import SegmentLog
import StoreTestSupport

public struct DamageBench: Sendable {
    public static let owners = 0..<6 as Range<UInt64>
    public let machine: SimulatedMachine
    public var disk: SimulatedDisk { machine.disk }

    /// Six chunks in segments of 64 KiB, two to a segment, closed with a checkpoint.
    public init(seed: UInt64 = 1, keepsCheckpoint: Bool = true) throws {
        let machine = SimulatedMachine(seed: seed, segmentSize: .kibibytes(64))
        let db = try machine.open()
        try machine.run { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            for owner in Self.owners { try await TestChunk(owner).put(in: space) }
            try await space.remove(TestChunk(0).key(in: space))
            try await TestChunk(0).put(in: space)
            await db.close()
        }
        self.machine = machine.afterRestart()
        if !keepsCheckpoint { disk.removeFile(StoreFiles.checkpoint) }
    }

    public func superblock() throws -> Superblock {
        try Superblock(decoding: disk.bytes(of: "superblock", 131_072..<135_168), copyIndex: 2)
    }

    /// The first plane of a chunk: file and offset of its first byte.
    public func place(of owner: UInt64, plane index: Int = 0) throws -> (file: String, offset: Int)
    {
        let disk = disk.crash(Survival(.all))
        var copy = machine
        copy.disk = disk
        let db = try copy.open()
        return try copy.run { () async throws in
            let space = db.namespace("acme")!
            let chunk = try await space.locate(TestChunk(owner).key(in: space))!
            let extent = chunk.extents[index]
            let place = (
                StoreFiles.segment(chunk.entry.extent.segment), Int(extent.fileOffset)
            )
            await db.close()
            return place
        }
    }

    public struct Found: Sendable {
        public var report: RecoveryReport
        public var intact: Set<UInt64> = []
        public var missing: Set<UInt64> = []
        public var damaged: [UInt64: DamageFacts] = [:]
        /// Must stay empty: bytes that are not the chunk's.
        public var wrong: Set<UInt64> = []
    }

    /// Opens, reads every chunk, closes. The disk is left as that leaves it.
    public func examine(strict: Bool = false) throws -> Found {
        var machine = machine.afterRestart()
        machine.options.isStrict = strict
        let current = machine
        let db: ChunkDB
        do {
            db = try current.open()
        } catch {
            // A refused opening lets go of what it took, as `open(at:)` does.
            current.run { await current.disk.shutdown() }
            throw error
        }
        return try current.run { () async throws -> Found in
            var found = Found(report: db.recovery)
            guard let space = db.namespace("acme") else {
                found.missing = Set(Self.owners)
                await db.close()
                return found
            }
            for owner in Self.owners {
                do throws(StoreError) {
                    switch try await TestChunk(owner).isIntact(in: space) {
                    case true: found.intact.insert(owner)
                    case false: found.wrong.insert(owner)
                    case nil: found.missing.insert(owner)
                    }
                } catch {
                    guard case .damaged(let facts) = error else { throw error }
                    found.damaged[owner] = facts
                }
            }
            await db.close()
            return found
        }
    }
}
