import ChunkFormat
import KVModel
import Primitives

/// A second whole store: one that cleaning has been through, and that a crash ended. Its life is
/// told in format-spec/golden/README.md, and every byte is made here, by no engine.
///
/// ```
/// unit     1   2   3   4   5   6   7   8   9   10  11  12  13  14  15
/// 0, use 1 №1  №2  new №3  A────────── D────────── ·   F──────────
/// 1, use 2 №4  ·   G────────── ·   E──────────
/// 2, use 3 №5  №6  B────────── ·   C────────── ·   K──────────       ended
/// 2, use 5 №10 №11 J────────── A'───────── ·   ·                     over it
/// 3, use 4 №7  №8  L────────── №9  B'───────── ·   −D  ·   H──────────
/// ```
enum TurnedOverStore {
    static let unit: UInt32 = 4_096
    static let storeID = GoldenStore.storeID
    static let secret = GoldenStore.secret
    static let createdSeconds = GoldenStore.second

    static let superblock = Superblock(
        storeID: storeID, secret: secret, generation: 1, alignmentUnit: unit,
        segmentBytes: 65_536, capacityBytes: 16 << 20, createdSeconds: createdSeconds)
    static let marks = [
        MarkBlock(turn: 4, syncedCommit: 8), MarkBlock(turn: 5, syncedCommit: 9),
    ]

    /// A segment use: where its records stand, and what seals them.
    struct Use {
        let header: SegmentHeader
        var key: SealKey { header.recordKey(secret: secret) }

        init(_ sequence: UInt64, segment: UInt32, units: UInt64 = 16) {
            // Every salt is one byte, 32 times: C1 for use 1, and so on.
            header = SegmentHeader(
                storeID: storeID, segment: SegmentID(segment), useSequence: sequence,
                salt: [UInt8](repeating: 0xC0 + UInt8(sequence), count: 32),
                segmentBytes: units * UInt64(unit), alignmentUnit: unit, firstCommitOffset: 4_096,
                secondCommitOffset: 8_192, createdSeconds: TurnedOverStore.createdSeconds + sequence
            )
        }

        func place(_ unitIndex: UInt64) -> RecordLocation {
            RecordLocation(segment: header.segment, offset: unitIndex * UInt64(unit))
        }
    }
    static let first = Use(1, segment: 0)
    static let second = Use(2, segment: 1, units: 10)
    static let ended = Use(3, segment: 2, units: 14)
    static let fourth = Use(4, segment: 3)
    /// In the file of the one that ended, and longer (SEG-12).
    static let again = Use(5, segment: 2)

    static let binding = ModelBinding(
        name: "golden-1l", weightsDigest: [UInt8](repeating: 0xC4, count: 32),
        layers: [LayerGeometry(kvHeadCount: 2, headDimension: 4)], elementType: .float32,
        rotary: RotaryEmbedding(base: 10_000, dimension: 4))
    static let create = NamespaceOperation.create(
        NamespaceDescription(id: NamespaceID(1), name: "acme", binding: binding))

    // MARK: Records

    /// A chunk is a letter: its two tokens, and the numbers of its planes, are made of it.
    static func tokens(_ letter: Character) -> [UInt32] {
        let code = UInt32(letter.asciiValue!)
        return [code, code + 100]
    }
    static func key(_ letter: Character) -> ChunkKey {
        ChunkKey(tokens: tokens(letter), binding: binding)
    }

    /// A record as it stands somewhere, and what a commit says of it.
    struct Standing {
        let member: CommitMember
        let bytes: [UInt8]

        /// What a commit says of a record that an earlier one named (COM-18).
        var namedAgain: CommitMember {
            var member = member
            member.isAgain = true
            return member
        }
    }

    private static func prefix(
        _ kind: RecordKind, _ use: Use, _ unitIndex: UInt64, sequence: UInt64, units: UInt64 = 1
    ) -> RecordPrefix {
        RecordPrefix(
            kind: kind, headerBytes: unit, recordBytes: units * UInt64(unit),
            writeSequence: WriteSequence(sequence), location: use.place(unitIndex))
    }

    private static func standing(_ region: SealedRegion, _ prefix: RecordPrefix, _ rest: [UInt8])
        -> Standing
    {
        Standing(member: GoldenStore.member(region, prefix), bytes: region.bytes + rest)
    }

    /// Number *i* is 100 × the letter's code + *i* in the keys, 50 more in the values.
    private static func plane(_ letter: Character, _ start: Float) -> [UInt8] {
        let base = Float(letter.asciiValue!) * 100 + start
        let numbers = (0..<tokens(letter).count * binding.layers[0].rowElementCount).flatMap {
            index in
            let bits = (base + Float(index)).bitPattern
            return (0..<4).map { UInt8(truncatingIfNeeded: bits >> ($0 * 8)) }
        }
        return numbers + [UInt8](repeating: 0, count: Int(unit) - numbers.count)
    }

    static func chunk(_ letter: Character, _ use: Use, _ unitIndex: UInt64, sequence: UInt64)
        -> Standing
    {
        let planes = [plane(letter, 0), plane(letter, 50)]
        let tokens = tokens(letter)
        let stored = UInt64(binding.rowBytes(layer: 0) * tokens.count)
        let extents = [ExtentKind.keys, .values].enumerated().map { index, kind in
            ExtentRow(
                layer: 0, kind: kind, tokenCount: UInt32(tokens.count),
                firstDigestSlot: UInt32(index), offset: UInt64(index + 1) * UInt64(unit),
                storedBytes: stored, rawBytes: stored)
        }
        let record = PayloadRecord(
            prefix: prefix(.payload, use, unitIndex, sequence: sequence, units: 3),
            namespace: NamespaceID(1), key: key(letter), variant: .standalone,
            bindingDigest: binding.digest, hashDomain: .standalone, keyForm: .afterRotation,
            elementType: .float32, tokenCount: UInt32(tokens.count), basePosition: 0,
            layerFirst: 0, layerCount: 1, recordIndex: 0, recordCount: 1, digestBlockShift: 16,
            variantBytes: binding.payloadBytes(tokenCount: tokens.count),
            createdSeconds: createdSeconds + 2, expirySeconds: 0, extents: extents, siblings: [],
            digests: planes.map { Digest128(hashing: $0) },
            metadata: ChunkMetadata(
                tokens: tokens, recompute: RecomputeMetadata(creationMilliseconds: 1)
            ).encode())
        return standing(record.encode(key: use.key), record.prefix, planes[0] + planes[1])
    }

    static let creation: Standing = {
        let record = NamespaceRecord(
            prefix: prefix(.namespaceOperation, first, 3, sequence: 1), operation: create)
        return standing(record.encode(key: first.key), record.prefix, [])
    }()
    static let a = chunk("A", first, 5, sequence: 3)
    static let d = chunk("D", first, 8, sequence: 4)
    /// Its values never reached the medium: the power went first.
    static let f = chunk("F", first, 12, sequence: 6)
    static let g = chunk("G", second, 3, sequence: 8)
    static let e = chunk("E", second, 7, sequence: 10)
    static let b = chunk("B", ended, 3, sequence: 11)
    static let c = chunk("C", ended, 7, sequence: 13)
    static let k = chunk("K", ended, 11, sequence: 15)
    static let l = chunk("L", fourth, 3, sequence: 16)
    static let movedB = chunk("B", fourth, 7, sequence: 18)
    static let tombstone = Tombstone(
        namespace: NamespaceID(1), key: key("D"), variant: nil, commit: 9)
    static let removal: Standing = {
        let record = TombstoneRecord(
            prefix: prefix(.tombstone, fourth, 11, sequence: 20), tombstones: [tombstone])
        return standing(record.encode(key: fourth.key), record.prefix, [])
    }()
    static let h = chunk("H", fourth, 13, sequence: 22)
    static let j = chunk("J", again, 3, sequence: 23)
    static let movedA = chunk("A", again, 6, sequence: 24)

    // MARK: Commits

    static func commit(
        _ number: UInt64, on previous: UInt64, synced: UInt64, _ use: Use, _ slot: UInt64,
        next: UInt64, later: UInt64, sequence: UInt64, _ members: [CommitMember]
    ) -> CommitRecord {
        CommitRecord(
            prefix: prefix(.commit, use, slot, sequence: sequence), commit: number,
            previousCommit: previous, syncedCommit: synced,
            useSequence: use.header.useSequence, nextCommitOffset: next * UInt64(unit),
            laterCommitOffset: later * UInt64(unit), members: members)
    }

    /// Nothing builds on commit 3: recovery dropped it, since F is torn.
    static let commitsOfFirst = [
        commit(
            1, on: 0, synced: 0, first, 1, next: 2, later: 4, sequence: 2, [creation.member]),
        commit(
            2, on: 1, synced: 1, first, 2, next: 4, later: 11, sequence: 5, [a.member, d.member]),
        commit(3, on: 2, synced: 2, first, 4, next: 11, later: 15, sequence: 7, [f.member]),
    ]
    static let commitsOfSecond = [
        commit(4, on: 2, synced: 2, second, 1, next: 2, later: 6, sequence: 9, [g.member])
    ]
    /// Of these nothing is left.
    static let commitsOfEnded = [
        commit(
            5, on: 4, synced: 4, ended, 1, next: 2, later: 6, sequence: 12, [e.member, b.member]),
        commit(6, on: 5, synced: 5, ended, 2, next: 6, later: 10, sequence: 14, [c.member]),
    ]
    static let commitsOfFourth = [
        commit(
            7, on: 6, synced: 6, fourth, 1, next: 2, later: 6, sequence: 17, [k.member, l.member]),
        commit(
            8, on: 7, synced: 7, fourth, 2, next: 6, later: 10, sequence: 19,
            [movedB.namedAgain, e.namedAgain]),
        commit(
            9, on: 8, synced: 8, fourth, 6, next: 10, later: 12, sequence: 21, [removal.member]),
    ]
    static let commitsOfAgain = [
        commit(
            10, on: 9, synced: 9, again, 1, next: 2, later: 9, sequence: 25,
            [h.member, j.member]),
        commit(
            11, on: 10, synced: 9, again, 2, next: 9, later: 10, sequence: 26,
            [movedA.namedAgain]),
    ]
    static let freed = FreedUse(
        segment: SegmentID(2), useSequence: 3, firstCommit: 5, lastCommit: 6, previousCommit: 4,
        commit: 9)
}
