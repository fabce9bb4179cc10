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

    /// Of `chunkdb PATH ls --json`, what is used here.
    private struct Contents: Decodable {
        struct Variant: Decodable {
            let key: String
            let variant: String
            let namespace: String
            let tokenCount: Int
            let diskBytes: Int
        }
        let variants: [Variant]
    }

    /// - Parameter contents: a file with what was stored when the recording began, as
    ///   `chunkdb PATH ls --json` prints it.
    static func read(path: String, contents: String?) throws(TraceFileError) -> Trace {
        let stored = try contents.map { path throws(TraceFileError) in
            (try TraceLines.data(path: path), path)
        }
        return try parse(TraceLines.data(path: path), path: path, contents: stored)
    }

    static func parse(
        _ data: Data, path: String, contents: (data: Data, path: String)? = nil
    ) throws(TraceFileError) -> Trace {
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
        if let contents { try begin(&trace, &objects, with: contents) }
        return trace
    }

    private static func begin(
        _ trace: inout Trace, _ objects: inout [Name: UInt32], with file: (data: Data, path: String)
    ) throws(TraceFileError) {
        let contents: Contents
        do {
            contents = try JSONDecoder().decode(Contents.self, from: file.data)
        } catch {
            throw .badLine(path: file.path, line: 1, what: "not what `ls --json` prints")
        }
        var stored: [UInt32] = []
        for variant in contents.variants {
            guard variant.tokenCount > 0, variant.diskBytes > 0 else {
                throw .badLine(path: file.path, line: 1, what: "tokens or bytes out of range")
            }
            // Requests have names of namespaces in hexadecimal.
            let name = Name(
                namespace: variant.namespace.utf8
                    .map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(),
                key: variant.key, variant: variant.variant)
            let object = objects[name] ?? UInt32(trace.objects.count)
            if objects[name] == nil {
                objects[name] = object
                var new = TraceObject(tokenCount: variant.tokenCount)
                new.diskBytes = variant.diskBytes
                trace.objects.append(new)
            }
            stored.append(object)
        }
        trace.begin(with: stored)
    }
}
