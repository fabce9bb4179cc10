// The proof that transfers were direct: how much of the measured files the page cache holds
// afterwards. The growth of `Cached` in /proc/meminfo would count every other process too;
// `mincore` asks for these files alone. The mapping is never read.

import Foundation
import Glibc

enum PageCache {
    /// Bytes of all regular files below `directory` that are in the page cache.
    static func residentBytes(below directory: String) -> Int {
        guard let names = FileManager.default.enumerator(atPath: directory) else { return 0 }
        var sum = 0
        for case let name as String in names { sum += residentBytes(of: directory + "/" + name) }
        return sum
    }

    /// Lets go of what it holds of them, where nobody maps it and it is on the medium.
    static func forget(below directory: String) {
        guard let names = FileManager.default.enumerator(atPath: directory) else { return }
        for case let name as String in names {
            let descriptor = unsafe open(directory + "/" + name, O_RDONLY | O_NOFOLLOW)
            guard descriptor >= 0 else { continue }
            _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
            close(descriptor)
        }
    }

    /// Bytes on the medium of all regular files below `directory`.
    static func allocatedBytes(below directory: String) -> Int {
        guard let names = FileManager.default.enumerator(atPath: directory) else { return 0 }
        var sum = 0
        for case let name as String in names {
            var facts = stat()
            guard unsafe lstat(directory + "/" + name, &facts) == 0,
                facts.st_mode & S_IFMT == S_IFREG
            else { continue }
            sum += Int(facts.st_blocks) * 512
        }
        return sum
    }

    private static func residentBytes(of path: String) -> Int {
        let descriptor = unsafe open(path, O_RDONLY | O_NOFOLLOW)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        var facts = stat()
        guard unsafe fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG,
            facts.st_size > 0
        else { return 0 }
        let byteCount = Int(facts.st_size)
        // SAFETY: a mapping of our own that nobody touches; unmapped below.
        guard let base = unsafe mmap(nil, byteCount, PROT_NONE, MAP_SHARED, descriptor, 0),
            unsafe base != MAP_FAILED
        else { return 0 }
        defer { unsafe munmap(base, byteCount) }
        let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))
        var pages = [UInt8](repeating: 0, count: (byteCount + pageBytes - 1) / pageBytes)
        // SAFETY: one byte for each page of the mapping.
        guard unsafe mincore(base, byteCount, &pages) == 0 else { return 0 }
        return pages.reduce(0) { $0 + Int($1 & 1) } * pageBytes
    }
}
