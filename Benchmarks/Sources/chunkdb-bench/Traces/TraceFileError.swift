import Foundation

/// What is wrong with a trace file, and where.
enum TraceFileError: Error, Equatable, CustomStringConvertible {
    case unreadable(path: String)
    case empty(path: String)
    /// Lines count from 1.
    case badLine(path: String, line: Int, what: String)

    var description: String {
        switch self {
        case .unreadable(let path): "\(path): cannot be read"
        case .empty(let path): "\(path): no request in it"
        case .badLine(let path, let line, let what): "\(path):\(line): \(what)"
        }
    }
}

/// The lines of a file of JSON objects.
enum TraceLines {
    static func data(path: String) throws(TraceFileError) -> Data {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw .unreadable(path: path)
        }
        return data
    }

    /// Those that are not blank, with their numbers.
    static func of(_ data: Data) -> [(number: Int, text: Data)] {
        data.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated()
            .map { ($0.offset + 1, $0.element) }
            .filter { !$0.1.allSatisfy { $0 == 0x20 || $0 == 0x0D || $0 == 0x09 } }
    }
}
