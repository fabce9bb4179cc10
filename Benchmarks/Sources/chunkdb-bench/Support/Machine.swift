// The machine a number was measured on, from what the kernel writes under /proc. Fields that cannot
// be found are empty, never guessed.

import ChunkDB
import Foundation

struct Machine: Codable, Sendable {
    var cpuModel: String
    var coreCount: Int
    var memoryBytes: Int
    var kernel: String
    /// Kind and device of the file system that was measured.
    var fileSystem: String
    var directory: String
    /// `io_uring`, `threads`, or `memory` for a verb that uses no disk.
    var engine: String
    var isDirect: Bool
    var alignmentBytes: Int
    var hasRegisteredBuffers: Bool
    /// What the disk says about ways not taken.
    var engineNotes: [String]
    var buildConfiguration: String
    /// ISO 8601, UTC.
    var date: String
    var gitRevision: String?
    var loadAverageAtStart: Double
    var loadAverageAtEnd: Double

    init(directory: String, traits: DiskTraits?) {
        let processors = Self.read("/proc/cpuinfo").split(separator: "\n")
        cpuModel =
            processors.first { $0.hasPrefix("model name") }
            .map { Self.value(of: $0) } ?? ""
        coreCount = ProcessInfo.processInfo.activeProcessorCount
        memoryBytes = Int(clamping: ProcessInfo.processInfo.physicalMemory)
        kernel = Self.read("/proc/sys/kernel/osrelease").trimmingCharacters(in: .newlines)
        fileSystem = Self.fileSystem(of: directory)
        self.directory = directory
        engine = traits?.engine ?? "memory"
        isDirect = traits?.isDirect ?? false
        alignmentBytes = traits?.alignment ?? 0
        hasRegisteredBuffers = traits?.hasRegisteredBuffers ?? false
        engineNotes = traits?.notes ?? []
        #if DEBUG
            buildConfiguration = "debug"
        #else
            buildConfiguration = "release"
        #endif
        date = Date().formatted(.iso8601)
        gitRevision = Self.gitRevision()
        loadAverageAtStart = Self.loadAverage
        loadAverageAtEnd = loadAverageAtStart
    }

    static var loadAverage: Double {
        Double(read("/proc/loadavg").prefix { $0 != " " }) ?? 0
    }

    /// Memory of this process that is really there.
    static var residentBytes: Int {
        let pages = read("/proc/self/statm").split(separator: " ")
        return (pages.count > 1 ? Int(pages[1]) ?? 0 : 0) * 4_096
    }

    static func read(_ path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private static func value(of line: some StringProtocol) -> String {
        line.split(separator: ":", maxSplits: 1).last.map {
            $0.trimmingCharacters(in: .whitespaces)
        } ?? ""
    }

    /// Of the longest mount point that is a prefix of the path.
    private static func fileSystem(of directory: String) -> String {
        var best = (length: -1, text: "")
        for line in read("/proc/self/mountinfo").split(separator: "\n") {
            let halves = line.components(separatedBy: " - ")
            let left = halves[0].split(separator: " ")
            guard halves.count == 2, left.count > 4 else { continue }
            let point = String(left[4])
            let prefix = point == "/" ? "/" : point + "/"
            let right = halves[1].split(separator: " ")
            guard (directory + "/").hasPrefix(prefix), prefix.count >= best.length,
                right.count > 1
            else { continue }
            best = (prefix.count, "\(right[0]) on \(right[1])")
        }
        return best.text
    }

    /// The revision of the checkout the bench was built from, if it is still there.
    private static func gitRevision() -> String? {
        var directory = URL(filePath: #filePath).deletingLastPathComponent()
        while directory.path != "/" {
            let git = directory.appending(path: ".git")
            let head = read(git.appending(path: "HEAD").path).trimmingCharacters(in: .newlines)
            if !head.isEmpty {
                guard head.hasPrefix("ref: ") else { return String(head.prefix(12)) }
                let name = String(head.dropFirst(5))
                let loose = read(git.appending(path: name).path)
                    .trimmingCharacters(in: .newlines)
                if !loose.isEmpty { return String(loose.prefix(12)) }
                return read(git.appending(path: "packed-refs").path).split(separator: "\n")
                    .first { $0.hasSuffix(" " + name) }.map { String($0.prefix(12)) }
            }
            directory.deleteLastPathComponent()
        }
        return nil
    }
}
