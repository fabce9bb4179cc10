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
