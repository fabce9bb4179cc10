import Foundation

/// Files that are read whole, and may be anything.
enum SmallFile {
    /// The bytes of a regular file; `nil` for one that is missing, larger, or no file at all: a
    /// pipe in its place would keep us waiting.
    static func bytes(_ path: String, maximum: Int) -> [UInt8]? {
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: resolved(path)),
            attributes[.type] as? FileAttributeType == .typeRegular,
            let handle = FileHandle(forReadingAtPath: path)
        else { return nil }
        defer { try? handle.close() }
        guard let data = try? handle.read(upToCount: maximum + 1), data.count <= maximum else {
            // No data is what an empty file gives.
            return (attributes[.size] as? NSNumber)?.intValue == 0 ? [] : nil
        }
        return [UInt8](data)
    }

    /// Where a path leads, through links.
    static func resolved(_ path: String) -> String {
        URL(fileURLWithPath: path).resolvingSymlinksInPath().path
    }
}
