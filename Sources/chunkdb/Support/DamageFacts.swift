// Damage as every verb reports it: where, which sentence of format-spec is broken, and how.

import ChunkFormat
import Primitives
import SegmentLog

/// One damaged place. Part of the schema of every verb that reports damage.
struct DamageFacts: Encodable, Hashable, Error {
    /// Relative to the store's directory.
    var file: String
    var offset: UInt64
    /// For example `DIG-2`; absent when the trouble was reading, not what was read.
    var clause: String?
    /// What was expected and what was found.
    var reason: String
    /// Whose bytes these were; absent for the store's own structures.
    var namespace: String?
    var key: String?
    var variant: String?

    /// What recovery reported; its reasons name their clause in the text.
    init(_ damage: RecoveryReport.Damage) {
        file = damage.file
        offset = damage.offset
        clause = Self.clause(in: damage.reason)
        // Reasons repeat the place they stand beside.
        let place = "\(damage.file) at byte \(damage.offset): "
        reason = damage.reason.hasPrefix(place)
            ? String(damage.reason.dropFirst(place.count)) : damage.reason
    }

    /// What reading a record of a stored variant ran into.
    init(_ error: LogError, at location: RecordLocation, of entry: CheckpointEntry, name: String) {
        switch error {
        case .format(let cause, let file, let offset):
            self.file = file
            self.offset = offset
            clause = cause.clause
            reason = "\(cause)"
        default:
            file = StoreFiles.segment(location.segment)
            offset = location.offset
            clause = nil
            reason = "\(error)"
        }
        namespace = name
        key = "\(entry.key)"
        variant = "\(entry.variant)"
    }

    /// Which variant's bytes these were, as one word to compare.
    var variantName: String { "\(key ?? "") \(variant ?? "") \(namespace ?? "")" }

    static func variantName(of entry: CheckpointEntry, in listing: Listing) -> String {
        "\(entry.key) \(entry.variant) \(listing.name(of: entry.namespace))"
    }

    var text: String {
        let owner = key.map { "; chunk \($0) variant \(variant ?? "") in \(namespace ?? "")" }
        return "\(file) at byte \(offset): \(reason)\(owner ?? "")"
    }

    /// The first word that looks like `ABC-12`.
    static func clause(in reason: String) -> String? {
        let words = reason.split { (character: Character) in ": ,;()".contains(character) }
        return words.first { word in
            let parts = word.split(separator: "-", omittingEmptySubsequences: false)
            return parts.count == 2 && parts[0].count == 3
                && parts[0].allSatisfy { $0.isASCII && $0.isUppercase }
                && !parts[1].isEmpty && parts[1].allSatisfy { $0.isASCII && $0.isNumber }
        }.map(String.init)
    }
}
