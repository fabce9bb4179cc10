"""The layout tables of format-spec, row for row: offset width type name."""

TEXT = """
superblock 4096
  0 8 bytes magic
  8 2 u16 formatVersion
  10 2 u16 digestAlgorithm
  12 4 u32 copyIndex
  16 16 bytes storeID
  32 32 bytes secret
  64 8 u64 generation
  72 4 u32 alignmentUnit
  76 4 u32 sealAlgorithm
  80 8 u64 segmentBytes
  88 8 u64 capacityBytes
  96 8 u64 createdSeconds
  104 8 u64 requiredFeatures
  112 8 u64 optionalFeatures
  120 16 zero keyID
  136 3944 zero reserved
  4080 16 digest seal
markBlock 4096
  0 8 bytes magic
  8 16 bytes storeID
  24 8 u64 turn
  32 8 u64 syncedCommit
  40 4040 zero reserved
  4080 16 digest seal
segmentHeader 4096
  0 8 bytes magic
  8 16 bytes storeID
  24 4 u32 segment
  28 4 u32 alignmentUnit
  32 8 u64 useSequence
  40 32 bytes salt
  72 8 u64 segmentBytes
  80 8 u64 firstCommitOffset
  88 8 u64 createdSeconds
  96 2 u16 writeClass
  98 6 zero reservedShort
  104 16 zero keyID
  120 8 u64 secondCommitOffset
  128 3952 zero reserved
  4080 16 digest seal
recordPrefix 64
  0 4 u32 magic
  4 2 u16 kind
  6 2 u16 flags
  8 4 u32 headerBytes
  12 4 zero reservedPrefix
  16 8 u64 recordBytes
  24 8 u64 writeSequence
  32 8 u64 offset
  40 4 u32 segment
  44 4 zero reservedPlace
  48 16 digest seal
payloadHeader 256
  0 64 struct recordPrefix
  64 4 u32 namespace
  68 1 u8 retention
  69 1 u8 hashDomain
  70 1 u8 keyForm
  71 1 u8 elementType
  72 32 bytes chunkKey
  104 8 u64 variantID
  112 32 bytes bindingDigest
  144 4 u32 tokenCount
  148 4 u32 basePosition
  152 2 u16 layerFirst
  154 2 u16 layerCount
  156 2 u16 recordIndex
  158 2 u16 recordCount
  160 4 u32 extentCount
  164 4 u32 siblingCount
  168 4 u32 digestSlotCount
  172 4 u32 metadataBytes
  176 2 u16 digestAlgorithm
  178 1 u8 digestBlockShift
  179 1 zero reservedByte
  180 4 zero reservedWord
  184 8 u64 variantBytes
  192 8 u64 createdSeconds
  200 8 u64 expirySeconds
  208 16 zero keyID
  224 16 zero reservedTag
  240 16 digest metadataDigest
extentRow 48
  0 2 u16 layer
  2 2 u16 kind
  4 2 u16 codec
  6 2 zero reservedRow
  8 4 u32 tokenCount
  12 4 u32 firstDigestSlot
  16 8 u64 codecParameters
  24 8 u64 offset
  32 8 u64 storedBytes
  40 8 u64 rawBytes
siblingRow 48
  0 4 u32 segment
  4 4 u32 headerBytes
  8 8 u64 offset
  16 8 u64 recordBytes
  24 2 u16 layerFirst
  26 2 u16 layerCount
  28 4 zero reservedRow
  32 16 digest seal
tombstoneHeader 80
  0 64 struct recordPrefix
  64 4 u32 count
  68 12 zero reservedCount
tombstoneRow 64
  0 4 u32 namespace
  4 4 u32 scope
  8 32 bytes chunkKey
  40 8 u64 variantID
  48 8 u64 commit
  56 8 zero reservedRow
namespaceHeader 80
  0 64 struct recordPrefix
  64 4 u32 operationBytes
  68 12 zero reservedCount
commitHeader 128
  0 64 struct recordPrefix
  64 8 u64 commit
  72 8 u64 previousCommit
  80 8 u64 syncedCommit
  88 8 u64 useSequence
  96 8 u64 nextCommitOffset
  104 4 u32 memberCount
  108 4 zero reservedCommit
  112 8 u64 laterCommitOffset
  120 8 zero reservedTail
commitMember 48
  0 2 u16 kind
  2 2 u16 flags
  4 4 u32 segment
  8 8 u64 offset
  16 8 u64 recordBytes
  24 4 u32 headerBytes
  28 4 zero reservedRow
  32 16 digest seal
journalHeader 4096
  0 8 bytes magic
  8 16 bytes storeID
  24 4 u32 copyIndex
  28 4 zero reservedWord
  32 32 bytes salt
  64 4016 zero reserved
  4080 16 digest seal
journalBlock 48
  0 4 u32 magic
  4 4 u32 entryBytes
  8 8 u64 blockIndex
  16 16 zero reservedBlock
  32 16 digest seal
freedUse 64
  0 4 u32 segment
  4 4 zero reservedWord
  8 8 u64 useSequence
  16 8 u64 firstCommit
  24 8 u64 lastCommit
  32 8 u64 previousCommit
  40 8 u64 commit
  48 16 zero reservedRow
checkpointHeader 4096
  0 8 bytes magic
  8 16 bytes storeID
  24 8 u64 generation
  32 8 u64 commit
  40 8 u64 writeSequence
  48 8 u64 segmentCount
  56 8 u64 entryCount
  64 16 digest tableDigest
  80 8 u64 nextCommit
  88 3992 zero reserved
  4080 16 digest seal
checkpointSegment 48
  0 4 u32 segment
  4 4 zero reservedWord
  8 8 u64 useSequence
  16 8 u64 nextCommitOffset
  24 8 u64 usedBytes
  32 8 u64 laterCommitOffset
  40 8 zero reservedRow
checkpointEntry 72
  0 4 u32 namespace
  4 32 bytes chunkKey
  36 8 u64 variantID
  44 4 u32 segment
  48 4 u32 block
  52 2 u16 headerBlocks
  54 2 u16 flags
  56 4 u32 variantBlocks
  60 4 u32 tokenCount
  64 4 u32 ordinal
  68 4 u32 expirySeconds
heatHeader 4096
  0 8 bytes magic
  8 16 bytes storeID
  24 8 u64 generation
  32 8 u64 rowCount
  40 16 digest rowDigest
  56 16 digest policyDigest
  72 4008 zero reserved
  4080 16 digest seal
heatRow 16
  0 4 u32 useCount
  4 4 u32 lastUseSeconds
  8 4 f32 score
  12 4 f32 lastFixCost
"""


def parse():
    out, rows = {}, None
    for line in TEXT.split("\n"):
        if line.startswith("  "):
            offset, width, kind, name = line.split()
            rows.append((int(offset), int(width), kind, name))
        elif line:
            name, size = line.split()
            rows = []
            out[name] = (int(size), rows)
    return out


LAYOUTS = parse()
FIELD_AT = {(table, row[3]): row[0] for table, (_, rows) in LAYOUTS.items() for row in rows}
