// A child process with a time limit, its output in a file: a pipe that nobody reads in time would
// hold it.

import Foundation

enum Child {
    enum End: Equatable {
        case exited(Int32)
        case died(signal: Int32)
        case hung
    }

    /// Between two words of `meanwhile`.
    private static let stepSeconds = 10

    /// Runs a program to its end. The environment is this process's without what is ours or the
    /// test runner's, so that a larger count asked of us is not asked of it.
    static func run(
        _ program: String, _ words: [String], environment: [String: String] = [:], output: URL,
        secondsMax: Int, meanwhile: (_ seconds: Int) -> Void = { _ in }
    ) throws -> End {
        try Data().write(to: output)
        let handle = try FileHandle(forWritingTo: output)
        defer { try? handle.close() }
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = words
        process.environment = ProcessInfo.processInfo.environment
            .filter { name, _ in
                !["CHUNKDB_", "SWIFT_TESTING", "XCT"].contains { name.hasPrefix($0) }
            }
            .merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = handle
        process.standardError = handle
        let ended = DispatchSemaphore(value: 0)
        process.terminationHandler = { _ in ended.signal() }
        try process.run()
        var waited = 0
        while ended.wait(timeout: .now() + .seconds(stepSeconds)) == .timedOut {
            waited += stepSeconds
            if waited < secondsMax {
                meanwhile(waited)
            } else {
                kill(process.processIdentifier, SIGKILL)
                ended.wait()
                return .hung
            }
        }
        return process.terminationReason == .exit
            ? .exited(process.terminationStatus) : .died(signal: process.terminationStatus)
    }
}
