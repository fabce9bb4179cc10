// `--json`: one object per verb, keys in lowerCamelCase and in a fixed (sorted) order, units at the
// end of names. Byte counts and commit numbers are whole numbers; keys, variants, digests are
// lowercase hexadecimal strings. A member that has no value is absent. The schema is JSON.md,
// the doc comments of the Encodable structs beside each verb say the same, and ShellTests holds
// every verb to the page.

import Foundation

/// What a verb answers under `--json` when it cannot answer; on standard output, like an answer.
struct ErrorReport: Encodable {
    struct Facts: Encodable {
        /// As on standard error without `--json`.
        var message: String
        /// The process's exit code.
        var exitCode: Int32
    }
    var verb: String
    var error: Facts
}

extension Console {
    func print(json value: some Encodable) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else {
            preconditionFailure("reports hold finite numbers and strings only")
        }
        print(printableJSON(String(decoding: data, as: UTF8.self)))
    }
}

extension Float {
    /// JSON has no word for infinities and NaN, which a hostile store may hold.
    var finite: Double? { isFinite ? Double(self) : nil }
}
