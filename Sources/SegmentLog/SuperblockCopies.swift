// Four copies, spaced (CONTRACT F-D): at least two must agree to be believed, all four are written,
// and opening mends those that do not agree.

import BlockIO
import ChunkFormat
import Primitives

enum SuperblockCopies {
    struct Read {
        var superblock: Superblock
        /// Copies that did not hold this superblock, and why.
        var bad: [(copyIndex: Int, reason: String)]
    }

    static func read(_ disk: any Disk, _ file: FileID) async throws(LogError) -> Read {
        var copies: [Result<Superblock, FormatError>] = []
        for index in 0..<Superblock.copyCount {
            copies.append(await readCopy(disk, file, index))
        }
        return try choose(copies)
    }

    /// The newest superblock that two copies hold. Another version in any copy wins over all: this
    /// code must not touch such a store.
    static func choose(_ copies: [Result<Superblock, FormatError>]) throws(LogError) -> Read {
        var candidates: [Superblock] = []
        for copy in copies {
            switch copy {
            case .success(let superblock): candidates.append(superblock)
            case .failure(let error) where error.code == .otherVersion:
                throw .format(error, file: StoreFiles.superblock, offset: 0)
            case .failure: break
            }
        }
        let agreed = candidates.filter { one in candidates.count { $0 == one } >= 2 }
        // Two pairs of one generation that differ: nothing says which of two stores this is.
        guard let superblock = agreed.max(by: { $0.generation < $1.generation }),
            agreed.allSatisfy({ $0.generation < superblock.generation || $0 == superblock })
        else {
            throw .superblockDamaged(
                copies: copies.enumerated().map { "copy \($0): \(describe($1))" })
        }
        let bad = copies.enumerated().compactMap { index, copy -> (Int, String)? in
            if case .success(superblock) = copy { return nil }
            return (index, describe(copy))
        }
        return Read(superblock: superblock, bad: bad)
    }

    private static func describe(_ copy: Result<Superblock, FormatError>) -> String {
        switch copy {
        case .success(let superblock): "generation \(superblock.generation)"
        case .failure(let error): "\(error)"
        }
    }

    private static func readCopy(_ disk: any Disk, _ file: FileID, _ index: Int) async
        -> Result<Superblock, FormatError>
    {
        let bytes: [UInt8]
        do throws(DiskError) {
            bytes = try await disk.readBytes(
                file, at: UInt64(index) * Superblock.copySpacing,
                byteCount: Superblock.blockBytes)
        } catch {
            return .failure(
                FormatError(
                    .truncated, structure: "superblock", field: "", clause: "SUP-6",
                    expected: "a readable copy", found: "\(error)"))
        }
        do throws(FormatError) {
            return .success(try Superblock(decoding: bytes, copyIndex: index))
        } catch {
            return .failure(error)
        }
    }

    /// Writes the given copies. *Durability:* durable when this returns.
    static func write(
        _ superblock: Superblock, copies: [Int], _ disk: any Disk, _ file: FileID
    ) async throws(DiskError) {
        for index in copies {
            try await disk.writeBytes(
                file, at: UInt64(index) * Superblock.copySpacing,
                superblock.encode(copyIndex: index))
        }
        try await disk.flush(file)
    }

    /// The newer of the two mark blocks that can be read; zeros when there is none.
    static func readMark(_ superblock: Superblock, _ disk: any Disk, _ file: FileID) async
        -> MarkBlock
    {
        let key = MarkBlock.sealKey(secret: superblock.secret)
        var newest = MarkBlock(turn: 0, syncedCommit: 0)
        for index in 0..<2 {
            let offset = Superblock.markOffset + UInt64(index * Superblock.blockBytes)
            let bytes = try? await disk.readBytes(
                file, at: offset, byteCount: Superblock.blockBytes)
            let mark = bytes.flatMap {
                try? MarkBlock(
                    decoding: $0, index: index, storeID: superblock.storeID, key: key)
            }
            if let mark, mark.turn > newest.turn { newest = mark }
        }
        return newest
    }
}
