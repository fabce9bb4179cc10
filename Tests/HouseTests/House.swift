import Foundation

/// The repository, as the house rules see it.
enum House {
    static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    struct File {
        /// From the repository's root.
        let path: String
        let lines: [Substring]
    }

    /// Source files under a folder, build products left out.
    static func files(_ folder: String, suffixes: [String] = [".swift", ".c", ".h"]) -> [File] {
        let base = root.appending(path: folder)
        guard let walk = FileManager.default.enumerator(atPath: base.path) else { return [] }
        var files: [File] = []
        for case let name as String in walk {
            guard suffixes.contains(where: name.hasSuffix), !name.contains(".build"),
                let text = try? String(contentsOf: base.appending(path: name), encoding: .utf8)
            else { continue }
            files.append(
                File(
                    path: "\(folder)/\(name)",
                    lines: text.split(separator: "\n", omittingEmptySubsequences: false)))
        }
        return files.sorted { $0.path < $1.path }
    }

    /// Module names that a Swift file imports.
    static func imports(_ file: File) -> [String] {
        file.lines.compactMap { line in
            let words = line.split(separator: " ")
            guard let index = words.firstIndex(of: "import"), index + 1 < words.count,
                !line.hasPrefix(" "), !line.hasPrefix("//")
            else { return nil }
            return words[index + 1].split(separator: ".").first.map(String.init)
        }
    }
}
