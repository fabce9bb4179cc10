// What a store was asked for, line by line (`StoreRequest.jsonLine`), as a process recorded it.

import ChunkDB
import Foundation
import Primitives

struct TraceFile {
    struct Name: Hashable {
        var namespace: String
        var key: ChunkKey
        var variant: VariantID
    }
    struct Request {
        var name: Name
        /// A put followed a miss; anything else is a use.
        var isPut: Bool
        var diskBytes: UInt64
        var seconds: UInt32
    }
    fileprivate struct Line: Decodable {
        var event: String
        var namespace: String
        var key: String
        var variant: String
        var bytes: UInt64
        var seconds: UInt32
    }

    let requests: [Request]

    static let bytesMax = 1 << 30

    /// *Throws:* `.cannotOpen` for what cannot be read, `.usage` with the first line that is none.
    init(_ file: String) throws(ShellError) {
        guard let bytes = SmallFile.bytes(file, maximum: Self.bytesMax) else {
            throw ShellError(.cannotOpen, SmallFile.reason(file, maximum: Self.bytesMax))
        }
        let decoder = JSONDecoder()
        var requests: [Request] = []
        let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() where !line.isEmpty {
            guard let line = try? decoder.decode(Line.self, from: Data(line)),
                let request = Request(line.event, line)
            else {
                throw ShellError(
                    .usage, "\(file) line \(index + 1): not a line of a recorded trace")
            }
            requests.append(request)
        }
        self.requests = requests
    }
}

extension TraceFile.Request {
    fileprivate init?(_ event: String, _ line: TraceFile.Line) {
        guard ["use", "put"].contains(event), let key = ChunkKey(hexadecimal: line.key),
            let variant = VariantID(argument: line.variant), line.namespace.count.isMultiple(of: 2)
        else { return nil }
        var name: [UInt8] = []
        var digits = line.namespace[...]
        while !digits.isEmpty {
            guard let byte = UInt8(digits.prefix(2), radix: 16) else { return nil }
            name.append(byte)
            digits = digits.dropFirst(2)
        }
        self.init(
            name: .init(
                namespace: String(decoding: name, as: UTF8.self), key: key, variant: variant),
            isPut: event == "put", diskBytes: line.bytes, seconds: line.seconds)
    }
}
