import Foundation
import SegmentLog

/// Who holds a store's lock, asked without touching it: the kernel lists advisory locks by device
/// and file number.
enum StoreLock {
    static func isHeld(directory: String) -> Bool {
        let path = "\(directory)/\(StoreFiles.superblock)"
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path),
            let number = (attributes[.systemFileNumber] as? NSNumber)?.uint64Value,
            let device = (attributes[.systemNumber] as? NSNumber)?.uint64Value,
            let locks = try? String(contentsOfFile: "/proc/locks", encoding: .utf8)
        else { return false }
        return isHeld(device: device, file: number, in: locks)
    }

    /// Lines read `1: FLOCK  ADVISORY  WRITE 4711 fe:00:1835 0 EOF`: the device in hexadecimal, the
    /// file in decimal.
    static func isHeld(device: UInt64, file: UInt64, in locks: String) -> Bool {
        let major = (device >> 8 & 0xFFF) | (device >> 32 & ~0xFFF)
        let minor = (device & 0xFF) | (device >> 12 & 0xFFF00)
        return locks.split(separator: "\n").contains { line in
            let words = line.split(separator: " ")
            guard words.count >= 6, words[1] == "FLOCK", words[3] == "WRITE" else { return false }
            let place = words[5].split(separator: ":")
            return place.count == 3 && UInt64(place[0], radix: 16) == major
                && UInt64(place[1], radix: 16) == minor && UInt64(place[2]) == file
        }
    }
}
