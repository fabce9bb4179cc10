// What every verb ends in: one object, the same for all of them, so that a later verb, a peer or a
// comparison of two runs needs no new words. README.md, "The JSON", is its documentation.

import ChunkDB
import Foundation

/// One run of one verb.
struct BenchmarkReport: Codable, Sendable {
    /// Raised when a field changes its meaning.
    var schema = 1
    var verb: String
    var machine: Machine
    var options: [String: OptionValue]
    var results: [BenchmarkResult]
    /// What a reader must know before using a number.
    var notes: [String] = []
    /// XXH3-128 of the results as JSON with sorted keys: names a run wherever it is quoted.
    var resultDigest: String?

    /// Taken once all results are in.
    mutating func seal() throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        resultDigest = "\(Digest128(hashing: [UInt8](try encoder.encode(results))))"
    }

    /// One line a number, for spreadsheets: verb, question, subject, metric, value.
    func csv() -> String {
        func cell(_ text: String) -> String {
            text.contains { ",\"\n".contains($0) }
                ? "\"\(text.replacing("\"", with: "\"\""))\"" : text
        }
        var lines = ["verb,name,subject,metric,value"]
        for result in results {
            for (metric, value) in result.metrics.sorted(by: { $0.key < $1.key }) {
                lines.append(
                    [verb, result.name, result.subject, metric, "\(value)"].map(cell)
                        .joined(separator: ","))
            }
        }
        return lines.joined(separator: "\n")
    }

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
}

/// What one subject did in one question.
struct BenchmarkResult: Codable, Sendable {
    /// The question, for example `put 32 MiB`.
    var name: String
    /// Who was asked: `chunkdb`, `device`, later a peer.
    var subject: String
    /// Flat; the unit is the end of each name.
    var metrics: [String: Double]
    /// Ascending; `nil` where single operations were not timed.
    var latencyCurve: [LatencyPoint]?
}

/// An option as it was in force, defaults included.
enum OptionValue: Codable, Sendable, Hashable {
    case flag(Bool)
    case number(Int)
    case text(String)

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let value = try? container.decode(Bool.self) {
            self = .flag(value)
        } else if let value = try? container.decode(Int.self) {
            self = .number(value)
        } else {
            self = .text(try container.decode(String.self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .flag(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .text(let value): try container.encode(value)
        }
    }
}

/// Why a run ended without a report.
enum BenchmarkError: Error, CustomStringConvertible {
    case usage(String)
    case noSpace(neededBytes: Int, availableBytes: UInt64, directory: String)
    /// A subject handed over bytes that were not put, or none: no number of such a run counts.
    case wrongBytes(String)
    case world(String)

    var description: String {
        switch self {
        case .usage(let text), .world(let text): text
        case .noSpace(let needed, let available, let directory):
            "\(directory): \(megabytes(needed)) needed, "
                + "\(megabytes(Int(clamping: available))) free; "
                + "choose another --directory or fewer rounds"
        case .wrongBytes(let what): "wrong bytes: \(what)"
        }
    }

    private func megabytes(_ bytes: Int) -> String { "\(bytes >> 20) MiB" }
}
