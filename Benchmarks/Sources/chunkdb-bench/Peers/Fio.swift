// fio, where it is installed: the same transfers by a program that nobody here wrote. It checks the
// yardstick, which all ratios are made with.

import ChunkDB
import Foundation

struct Fio {
    private let executable: String

    enum Kind: String {
        case randomReads = "randread"
        /// In order, each followed by a flush of its data.
        case durableWrites = "write"
    }

    /// `nil` when there is none on the PATH.
    init?() {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        let places = folders.map { "\($0)/fio" }
        guard let place = places.first(where: FileManager.default.isExecutableFile(atPath:))
        else { return nil }
        executable = place
    }

    /// One window on a file that is there already; timed by fio itself, its start not included.
    func run(
        _ kind: Kind, on file: String, operationBytes: Int, depth: Int, byteCount: Int, seed: UInt64
    ) throws -> Work {
        let process = Process()
        process.executableURL = URL(filePath: executable)
        process.arguments =
            [
                "--name=fio", "--filename=\(file)", "--rw=\(kind.rawValue)", "--direct=1",
                "--ioengine=io_uring", "--bs=\(operationBytes)", "--iodepth=\(depth)",
                "--size=\(try fileBytes(file) / operationBytes * operationBytes)",
                "--io_size=\(byteCount)", "--randseed=\(seed)", "--allow_file_create=0",
                "--output-format=json",
            ] + (kind == .durableWrites ? ["--fdatasync=1"] : [])
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let text = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard process.terminationStatus == 0,
            let job = try JSONDecoder().decode(Report.self, from: text).jobs.first
        else { throw BenchmarkError.world("fio failed on \(file)") }
        let side = kind == .randomReads ? job.read : job.write
        // Milliseconds are too coarse for a window: bytes and rate say it better.
        guard side.bw_bytes > 0 else { throw BenchmarkError.world("fio moved nothing") }
        let seconds = Double(side.io_bytes) / Double(side.bw_bytes)
        return Work(
            operations: side.total_ios, bytes: side.io_bytes,
            span: Work.Span(
                seconds: seconds, cpuSeconds: seconds * (job.usr_cpu + job.sys_cpu) / 100))
    }

    private func fileBytes(_ file: String) throws -> Int {
        let facts = try FileManager.default.attributesOfItem(atPath: file)
        return (facts[.size] as? NSNumber)?.intValue ?? 0
    }

    /// As fio names things.
    private struct Report: Decodable {
        struct Side: Decodable {
            let io_bytes: Int
            let bw_bytes: Int
            let total_ios: Int
        }
        struct Job: Decodable {
            let read: Side
            let write: Side
            let usr_cpu: Double
            let sys_cpu: Double
        }
        let jobs: [Job]
    }
}
