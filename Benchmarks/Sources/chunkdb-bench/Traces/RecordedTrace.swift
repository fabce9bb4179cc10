// What a store of ours was asked for: the lines of `StoreRequest.jsonLine`, one for each use and
// for each put that followed a miss.

import Foundation

enum RecordedTrace {
    private struct Line: Decodable {
        let event: String
        let namespace: String
        let key: String
        let variant: String
        let tokens: Int
        let bytes: Int
        let seconds: UInt32
    }

    private struct Name: Hashable {
        let namespace: String
        let key: String
        let variant: String
    }

    static func read(path: String) throws(TraceFileError) -> Trace {
        try parse(TraceLines.data(path: path), path: path)
    }

    static func parse(_ data: Data, path: String) throws(TraceFileError) -> Trace {
        let decoder = JSONDecoder()
        var trace = Trace(name: "recorded")
        var objects: [Name: UInt32] = [:]
        var ends: [Int] = []
        for (number, text) in TraceLines.of(data) {
            let line: Line
            do {
                line = try decoder.decode(Line.self, from: text)
            } catch {
                throw .badLine(path: path, line: number, what: "not a line of a recorded trace")
            }
            guard ["use", "put"].contains(line.event), line.tokens > 0, line.bytes > 0 else {
                throw .badLine(
                    path: path, line: number, what: "an event, tokens or bytes out of range")
            }
            let name = Name(namespace: line.namespace, key: line.key, variant: line.variant)
            let object = objects[name] ?? UInt32(trace.objects.count)
            if objects[name] == nil {
                objects[name] = object
                var new = TraceObject(tokenCount: line.tokens)
                new.diskBytes = line.bytes
                trace.objects.append(new)
            }
            trace.requests.append(TraceRequest(object: object, seconds: line.seconds))
            ends.append(trace.requests.count)
        }
        guard !trace.requests.isEmpty else { throw .empty(path: path) }
        trace.setTenths(promptEnds: ends)
        return trace
    }
}
