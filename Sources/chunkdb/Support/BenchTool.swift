// `chunkdb-bench` is a package of its own, with dependencies of its own: the shell runs it where it
// is installed, and says how to get it where it is not.

import Foundation

enum BenchTool {
    static let name = "chunkdb-bench"
    /// Names the program where it is not on the PATH.
    static let variable = "CHUNKDB_BENCH"

    private static var path: String? {
        let environment = ProcessInfo.processInfo.environment
        let folders = (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(name)" }
        return ([environment[variable]].compactMap { $0 } + folders)
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// Its answers go where ours do, its errors to standard error.
    /// *Throws:* `.toolFailed` when it is missing, or ended with anything but 0.
    static func run(_ words: [String], on console: Console) throws(ShellError) {
        guard let path else {
            throw ShellError(
                .toolFailed,
                """
                \(name) is not on the PATH. In the repository:
                  swift build -c release --package-path Benchmarks
                  export \(variable)=$PWD/Benchmarks/.build/release/\(name)
                """)
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = words
        let pipe = Pipe()
        // At a terminal it draws for itself.
        if !console.output.isTerminal { process.standardOutput = pipe }
        do {
            try process.run()
        } catch {
            throw ShellError(.toolFailed, "\(path): \(error.localizedDescription)")
        }
        if !console.output.isTerminal {
            while true {
                let data = pipe.fileHandleForReading.availableData
                if data.isEmpty { break }
                console.output.write(String(decoding: data, as: UTF8.self))
            }
        }
        process.waitUntilExit()
        guard process.terminationStatus == 0, process.terminationReason == .exit else {
            throw ShellError(
                .toolFailed, "\(name) ended with exit code \(process.terminationStatus)")
        }
    }
}
