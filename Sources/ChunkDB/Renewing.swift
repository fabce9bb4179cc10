// Changing what plans go by, on a stored chunk. The variant is copied and says otherwise there, as
// for a pin.
//
// That costs the bytes of the variant. A record of its own for what is new would cost less to
// write, and every reader a second read, a second place in checkpoints, and a second life to clean
// up after; what is kept with a chunk changes once or twice in its life.

import BSkiplist
import ChunkFormat
import KVModel
import Primitives
import SegmentLog

extension Namespace {
    /// Changes what plans go by: the profile of a chunk that was computed in another context since,
    /// its scores, what it costs to make. Tokens, planes and the prefix stay what they are.
    ///
    /// A reader finds the old metadata or the new, whole, and the planes all the while.
    /// - Parameters:
    ///   - key: of the chunk.
    ///   - variant: which of its forms.
    ///   - change: of what is stored; called anew if the variant was moved or changed meanwhile.
    /// *Durability:* durable when this returns; a crash before leaves the old. *Complexity:* a copy
    /// of the variant.
    /// *Returns:* false when it is a miss.
    /// *Throws:* `.shape` for another prefix, scores that are not one a token, or more than the
    /// record has room for: profile and scores always fit. `.damaged` when its bytes do not verify.
    @discardableResult
    public func renew(
        _ key: ChunkKey, variant: VariantID = .standalone,
        _ change: @escaping @Sendable (inout RecomputeMetadata) -> Void
    ) async throws(StoreError) -> Bool {
        try await core.carryOut { [self] () async throws(StoreError) -> Bool in
            while let entry = try await settledEntry(key, variant) {
                let isDone = try await copy(entry) { (family) throws(StoreError) in
                    try family[0].renew(change)
                }
                if isDone { return true }
            }
            return false
        }
    }
}

extension PayloadRecord {
    /// Puts changed metadata where the old was. A put reserves room for profile and scores.
    fileprivate mutating func renew(_ change: (inout RecomputeMetadata) -> Void) throws(StoreError)
    {
        var metadata: ChunkMetadata
        do throws(FormatError) {
            metadata = try ChunkMetadata(decoding: self.metadata)
        } catch {
            throw .damaged(
                DamageFacts(
                    key: key, variant: variant,
                    file: StoreFiles.segment(prefix.location.segment),
                    offset: prefix.location.offset, cause: error))
        }
        let keys = metadata.recompute.prefix.map(\.key)
        change(&metadata.recompute)
        try metadata.recompute.requireShape(prefix: keys, tokenCount: metadata.tokens.count)
        self.metadata = metadata.encode()
        let byteCount = PayloadRecord.headerBytes(
            extentCount: extents.count, siblingCount: siblings.count, digestCount: digests.count,
            metadataBytes: self.metadata.count)
        guard byteCount <= Int(prefix.headerBytes) else {
            throw .shape(
                what: "header of a chunk", expected: "\(prefix.headerBytes) bytes, as it has",
                found: "\(byteCount)")
        }
    }
}
