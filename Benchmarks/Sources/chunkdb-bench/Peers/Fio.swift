// fio, where it is installed: the same transfers by a program that nobody here wrote. It checks the
// yardstick, which all ratios are made with.

import ChunkDB
import Foundation

struct Fio {
    private let executable: String

    /// `nil` when there is none on the PATH.
    init?() {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        let places = folders.map { "\($0)/fio" }
        guard let place = places.first(where: FileManager.default.isExecutableFile(atPath:))
        else { return nil }
        executable = place
    }

    /// Each window is a new process, which touches its memory for the first time: not counted.
    private static let warmUpMilliseconds = 250
    private static let milliseconds = 500

    /// One window of random reads of a file that is there already; timed by fio itself, its start
    /// not included.
    func reads(of file: String, operationBytes: Int, depth: Int, seed: UInt64) throws -> Work {
        let byteCount = try fileBytes(file) / operationBytes * operationBytes
        return try run(
            .randomReads, on: file, operationBytes: operationBytes, depth: depth,
            [
                "--size=\(byteCount)", "--randseed=\(seed)", "--time_based",
                "--ramp_time=\(Self.warmUpMilliseconds)ms", "--runtime=\(Self.milliseconds)ms",
            ])
    }

    /// `count` writes in order, each followed by a flush of its data, into the place `origin` of a
    /// file that is there already.
    func durableWrites(to file: String, operationBytes: Int, count: Int, origin: Int) throws
        -> Work
    {
        try run(
            .durableWrites, on: file, operationBytes: operationBytes, depth: 1,
            ["--offset=\(origin)", "--size=\(count * operationBytes)", "--fdatasync=1"])
    }

    private enum Kind: String {
        case randomReads = "randread"
        case durableWrites = "write"
    }

    private func run(
        _ kind: Kind, on file: String, operationBytes: Int, depth: Int, _ extent: [String]
    ) throws -> Work {
        let process = Process()
        process.executableURL = URL(filePath: executable)
        process.arguments =
            [
                "--name=fio", "--filename=\(file)", "--rw=\(kind.rawValue)", "--direct=1",
                "--ioengine=io_uring", "--bs=\(operationBytes)", "--iodepth=\(depth)",
                "--fixedbufs", "--registerfiles", "--allow_file_create=0",
                "--output-format=json",
            ] + extent
            + (Self.freeHugePageBytes >= (depth + 1) * operationBytes ? ["--iomem=mmaphuge"] : [])
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
        // Milliseconds are too coarse for a window: bytes and rate say it better. But the bytes
        // are also of what was on its way when fio began to count, and its operations are not: 32
        // of 4 MiB would make a window of 250 ms a seventh faster than a long one.
        guard side.bw_bytes > 0 else { throw BenchmarkError.world("fio moved nothing") }
        let seconds = Double(side.io_bytes) / Double(side.bw_bytes)
        return Work(
            operations: side.total_ios, bytes: side.total_ios * operationBytes,
            span: Work.Span(
                seconds: seconds, cpuSeconds: seconds * (job.usr_cpu + job.sys_cpu) / 100))
    }

    /// What a report has to say of how fio was asked.
    static var note: String {
        if Fio() == nil { return "SKIPPED: fio is not on the PATH" }
        let reserved = ByteCount(UInt64(freeHugePageBytes))
        let memory =
            reserved.bytes > 0
            ? "huge pages as ours, where enough are reserved (\(reserved))"
            : "pages of 4 KiB, since no huge ones are reserved (vm.nr_hugepages); ours are huge"
        return "fio: io_uring, direct I/O, registered memory and file, a new process each window, "
            + "of whose reads the last \(milliseconds) ms count; memory in \(memory)"
    }

    /// A virtual disk may take many times as long for a transfer whose memory is in small pieces.
    private static var freeHugePageBytes: Int {
        let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
        func value(_ name: String) -> Int {
            let line = text.split(separator: "\n").first { $0.hasPrefix(name + ":") }
            return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        }
        return value("HugePages_Free") * value("Hugepagesize") << 10
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
