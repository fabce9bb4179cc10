// The records of one variant are one statement: what record 0 says of another, and what all of them
// say alike, must be true of each.

import Primitives

extension PayloadRecord {
    /// Holds a record that was found where row `index` - 1 of this one points against that row.
    /// *Throws:* the first thing that does not agree.
    public func requireSibling(_ other: PayloadRecord, seal: Digest128, index: Int)
        throws(FormatError)
    {
        let row = siblings[index - 1]
        let facts: [(field: String, clause: String, isRight: Bool)] = [
            ("seal", "SIB-2", seal == row.seal),
            ("headerBytes", "SIB-2", other.prefix.headerBytes == row.headerBytes),
            ("recordBytes", "SIB-2", other.prefix.recordBytes == row.recordBytes),
            ("recordIndex", "SIB-3", Int(other.recordIndex) == index),
            ("layerFirst", "PAY-12", other.layerFirst == row.layerFirst),
            ("layerCount", "PAY-12", other.layerCount == row.layerCount),
            ("chunkKey", "PAY-9", other.key == key),
            ("variantID", "PAY-9", other.variant == variant),
            ("namespace", "PAY-9", other.namespace == namespace),
            ("bindingDigest", "PAY-9", other.bindingDigest == bindingDigest),
            ("tokenCount", "PAY-9", other.tokenCount == tokenCount),
            ("basePosition", "PAY-9", other.basePosition == basePosition),
            ("recordCount", "PAY-9", other.recordCount == recordCount),
            ("variantBytes", "PAY-9", other.variantBytes == variantBytes),
        ]
        for fact in facts where !fact.isRight {
            throw FormatError(
                .corrupt, structure: "payloadHeader", field: fact.field, clause: fact.clause,
                expected: "what record 0 says", found: "another")
        }
    }
}
