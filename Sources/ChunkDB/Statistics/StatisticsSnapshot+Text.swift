// The statistics file: lines of a word and a number, so that a script reads it without us, and any
// bytes at all are read without harm.
//
//     chunkdb-statistics 1
//     store 00112233445566778899aabbccddeeff
//     process 4711
//     sequence 12
//     wallSeconds 1795000000
//     monotonicNanoseconds 5120000000
//     intervalNanoseconds 1000000000
//     putCount 3                      the store's counters
//     …
//     namespace 61636d65              in hexadecimal: nobody's terminal obeys a name
//     putCount 3                      that namespace's
//     …
//     end
//
// A word that a reader does not know is passed over, one that is missing counts as 0: counters may
// be added under version 1. The file is replaced whole; `end` tells of copies that are not.

import Primitives

/// Why bytes are no statistics.
public struct StatisticsFormatError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Counted from 1; 0 for the file as a whole.
    public let line: Int
    public let reason: String

    public var description: String { line > 0 ? "line \(line): \(reason)" : reason }
}

extension StatisticsSnapshot {
    /// Larger files are no statistics.
    public static let textBytesMax = 1 << 20
    private static let title = "chunkdb-statistics"
    private static let version = 1

    /// The lines of the file.
    public var text: String {
        var lines = [
            "\(Self.title) \(Self.version)", "store \(hexadecimal(storeID))",
            "process \(processID)", "sequence \(sequence)", "wallSeconds \(wallSeconds)",
            "monotonicNanoseconds \(monotonicNanoseconds)",
            "intervalNanoseconds \(intervalNanoseconds)",
        ]
        func add(_ values: [Counter: UInt64]) {
            for counter in Counter.allCases {
                if let value = values[counter] { lines.append("\(counter.rawValue) \(value)") }
            }
        }
        add(values)
        for tenant in tenants.prefix(Self.tenantCountMax) {
            lines.append("namespace \(hexadecimal(Array(tenant.name.utf8)))")
            add(tenant.values)
        }
        return lines.joined(separator: "\n") + "\nend\n"
    }

    /// What `text` was. *Complexity:* O(bytes).
    /// *Throws:* for anything else, whatever it is.
    public init(parsing bytes: [UInt8]) throws(StatisticsFormatError) {
        guard bytes.count <= Self.textBytesMax else {
            throw .init(line: 0, reason: "\(bytes.count) bytes; at most \(Self.textBytesMax)")
        }
        var (header, values): ([String: UInt64], [Counter: UInt64]) = ([:], [:])
        var (storeID, tenants, isWhole): ([UInt8]?, [Tenant], Bool) = (nil, [], false)
        let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            func refuse(_ reason: String) -> StatisticsFormatError {
                .init(line: index + 1, reason: reason)
            }
            let words = line.split(separator: 0x20, omittingEmptySubsequences: false)
                .map { String(decoding: $0, as: UTF8.self) }
            if index == 0 {
                guard words.count == 2, words[0] == Self.title else {
                    throw refuse("not a statistics file of chunkdb")
                }
                guard words[1] == "\(Self.version)" else {
                    throw refuse("of another version; this reads version \(Self.version)")
                }
                continue
            }
            // The writer fills whole blocks with line ends.
            if isWhole {
                if line.isEmpty { continue }
                throw refuse("something stands behind the end")
            }
            if words == ["end"] {
                isWhole = true
                continue
            }
            guard words.count == 2 else { throw refuse("expected a word and a value") }
            switch words[0] {
            case "store":
                guard let id = Self.bytes(words[1]), id.count == 16 else {
                    throw refuse("expected 32 hexadecimal digits")
                }
                storeID = id
            case "namespace":
                guard let name = Self.bytes(words[1]), tenants.count < Self.tenantCountMax else {
                    throw refuse(
                        "expected a name in hexadecimal, of \(Self.tenantCountMax) at most")
                }
                tenants.append(Tenant(name: String(decoding: name, as: UTF8.self), values: [:]))
            default:
                guard let value = UInt64(words[1]), words[1].allSatisfy(\.isNumber) else {
                    throw refuse("expected a whole number")
                }
                if let counter = Counter(rawValue: words[0]) {
                    if tenants.isEmpty {
                        values[counter] = value
                    } else {
                        tenants[tenants.count - 1].values[counter] = value
                    }
                } else if tenants.isEmpty {
                    header[words[0]] = value
                }
            }
        }
        guard isWhole else { throw .init(line: 0, reason: "it ends before its end") }
        guard let storeID, let process = header["process"].flatMap({ Int32(exactly: $0) }),
            process > 0
        else { throw .init(line: 0, reason: "it names no store or no process") }
        self.init(
            storeID: storeID, processID: process, sequence: header["sequence"] ?? 0,
            wallSeconds: header["wallSeconds"] ?? 0,
            monotonicNanoseconds: header["monotonicNanoseconds"] ?? 0,
            intervalNanoseconds: header["intervalNanoseconds"] ?? 0, values: values,
            tenants: tenants)
    }

    private static func bytes(_ digits: String) -> [UInt8]? {
        let values = digits.utf8.map { Character(Unicode.Scalar($0)).hexDigitValue }
        guard values.count.isMultiple(of: 2), !values.contains(nil) else { return nil }
        return stride(from: 0, to: values.count, by: 2).map {
            UInt8((values[$0] ?? 0) << 4 | (values[$0 + 1] ?? 0))
        }
    }
}
