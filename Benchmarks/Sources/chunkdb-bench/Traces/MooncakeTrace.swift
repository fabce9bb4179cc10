// Mooncake's public traces (FAST '25, github.com/kvcache-ai/Mooncake): one JSON object a line with
// `timestamp` (milliseconds), `input_length`, `output_length` (tokens) and `hash_ids`, one for each
// block of 512 tokens of the prompt. A block's id stands for itself and all before it, so that here
// "chunk" is a prefix block; the last one of a prompt may be shorter.

import Foundation

enum MooncakeTrace {
    static let blockTokens = 512

    private struct Line: Decodable {
        let timestamp: Double
        let input_length: Int
        let output_length: Int
        let hash_ids: [UInt64]
    }

    static func read(path: String) throws(TraceFileError) -> Trace {
        try parse(TraceLines.data(path: path), path: path)
    }

    static func parse(_ data: Data, path: String) throws(TraceFileError) -> Trace {
        let decoder = JSONDecoder()
        var trace = Trace(name: "mooncake")
        var objects: [UInt64: UInt32] = [:]
        var promptEnds: [Int] = []
        var first: Double?
        for (number, text) in TraceLines.of(data) {
            let line = try decode(text, decoder, path: path, line: number)
            let start = first ?? line.timestamp
            first = start
            let seconds = UInt32(min(max((line.timestamp - start) / 1_000, 0), Double(UInt32.max)))
            for (block, id) in line.hash_ids.enumerated() {
                let object = objects[id] ?? UInt32(trace.objects.count)
                if objects[id] == nil {
                    objects[id] = object
                    let left = line.input_length - block * blockTokens
                    trace.objects.append(TraceObject(tokenCount: min(max(left, 1), blockTokens)))
                }
                trace.requests.append(TraceRequest(object: object, seconds: seconds))
            }
            promptEnds.append(trace.requests.count)
        }
        guard !trace.requests.isEmpty else { throw .empty(path: path) }
        trace.setTenths(promptEnds: promptEnds)
        return trace
    }

    private static func decode(
        _ text: Data, _ decoder: JSONDecoder, path: String, line number: Int
    ) throws(TraceFileError) -> Line {
        let line: Line
        do {
            line = try decoder.decode(Line.self, from: text)
        } catch {
            throw .badLine(path: path, line: number, what: reason(error))
        }
        guard line.timestamp.isFinite, line.timestamp >= 0 else {
            throw .badLine(path: path, line: number, what: "timestamp is negative")
        }
        guard line.input_length >= 0, line.output_length >= 0 else {
            throw .badLine(path: path, line: number, what: "a length is negative")
        }
        return line
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case DecodingError.keyNotFound(let key, _): "\(key.stringValue) is missing"
        case DecodingError.typeMismatch(_, let context),
            DecodingError.valueNotFound(_, let context):
            "\(field(context)) is not what it should be"
        case DecodingError.dataCorrupted(let context) where !context.codingPath.isEmpty:
            "\(field(context)) is out of range"
        default: "not a JSON object"
        }
    }

    private static func field(_ context: DecodingError.Context) -> String {
        context.codingPath.first?.stringValue ?? "the line"
    }
}
