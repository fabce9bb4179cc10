import Foundation
import Primitives

/// Files that are read whole, and may be anything.
enum SmallFile {
    /// The bytes of a regular file; `nil` for one that is missing, larger, or no file at all: a
    /// pipe in its place would keep us waiting.
    static func bytes(_ path: String, maximum: Int) -> [UInt8]? {
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: resolved(path)),
            attributes[.type] as? FileAttributeType == .typeRegular,
            let size = (attributes[.size] as? NSNumber)?.intValue, size <= maximum,
            let handle = FileHandle(forReadingAtPath: path)
        else { return nil }
        defer { try? handle.close() }
        // By now another may stand in its place, and be larger.
        let count = min(maximum, size + Self.slackBytes)
        guard let data = try? handle.read(upToCount: count + 1), data.count <= count else {
            // No data is what an empty file gives.
            return size == 0 ? [] : nil
        }
        return [UInt8](data)
    }

    /// Why `bytes` gave none.
    static func reason(_ path: String, maximum: Int) -> String {
        FileManager.default.fileExists(atPath: path)
            ? "\(path): not a file of at most \(ByteCount(UInt64(maximum))) that can be read"
            : "\(path): no such file"
    }

    private static let slackBytes = 1 << 20

    /// Where a path leads, through links.
    static func resolved(_ path: String) -> String {
        URL(fileURLWithPath: path).resolvingSymlinksInPath().path
    }
}
