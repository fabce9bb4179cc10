// The thin edge to the kernel: each function is one call, tried again after EINTR, with the error
// number as its error. What a failure means is decided above.

import CSystemCalls
import Glibc

/// The kernel's word for why a call failed.
struct SystemError: Error { let number: Int32 }

enum SystemCalls {
    /// Lets the calling thread run on these processors only.
    static func pinThread(to processors: Set<Int>) throws(SystemError) {
        guard processors.allSatisfy({ (0..<processorCountMax).contains($0) }) else {
            throw SystemError(number: EINVAL)
        }
        var words = [UInt64](repeating: 0, count: processorCountMax / 64)
        for processor in processors { words[processor / 64] |= 1 << UInt64(processor % 64) }
        // SAFETY: the words outlive the call.
        let result = unsafe chunkdb_pin_thread(words, UInt32(words.count))
        if result < 0 { throw SystemError(number: -result) }
    }

    /// More than any kernel is built for.
    private static let processorCountMax = 8_192

    static func openBeneath(
        _ directory: Int32, _ path: String, flags: Int32, mode: UInt64 = 0
    ) throws(SystemError) -> Int32 {
        var hasRaisedLimit = false
        while true {
            // SAFETY: the path is a C string for the length of the call.
            let result = unsafe chunkdb_open_beneath(
                directory, path, UInt64(UInt32(bitPattern: flags)), mode)
            // A rename somewhere on the path makes the kernel's walk ask for another try.
            if result == -EINTR || result == -EAGAIN { continue }
            if result == -EMFILE && !hasRaisedLimit {
                hasRaisedLimit = true
                if raiseDescriptorLimit() { continue }
            }
            if result == -ENOSYS { return try walk(directory, path, flags: flags, mode: mode) }
            if result < 0 { throw SystemError(number: -result) }
            return result
        }
    }

    /// A store of many small segments needs more descriptors than the customary soft limit of
    /// 1,024; the hard limit is the administrator's word. Whether there was anything to raise.
    private static func raiseDescriptorLimit() -> Bool {
        var limit = rlimit()
        // SAFETY: `limit` outlives both calls.
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0,
            limit.rlim_cur < limit.rlim_max
        else { return false }
        limit.rlim_cur = limit.rlim_max
        return unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
    }

    /// The same for kernels and sandboxes without openat2: one plain name after the other.
    static func walk(
        _ directory: Int32, _ path: String, flags: Int32, mode: UInt64
    ) throws(SystemError) -> Int32 {
        var parent = directory
        defer { if parent != directory { close(parent) } }
        let names = path.split(separator: "/").map(String.init)
        for name in names.dropLast() {
            // SAFETY: as above. A link fails with ENOTDIR or ELOOP.
            let next = try check {
                unsafe openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            }
            if parent != directory { close(parent) }
            parent = next
        }
        let last = names.last ?? "."
        return try check { unsafe openat(parent, last, flags | O_NOFOLLOW, mode_t(mode)) }
    }

    static func open(_ path: String, flags: Int32) throws(SystemError) -> Int32 {
        // SAFETY: as above.
        try check { unsafe Glibc.open(path, flags) }
    }

    static func openUnnamed(in directory: Int32, flags: Int32) throws(SystemError) -> Int32 {
        // SAFETY: as above.
        try check { unsafe openat(directory, ".", chunkdb_open_unnamed | flags, 0o600) }
    }

    static func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }

    /// The same open file under a number above the standard three.
    static func duplicateHigh(_ descriptor: Int32) throws(SystemError) -> Int32 {
        try check { fcntl(descriptor, F_DUPFD_CLOEXEC, 3) }
    }

    static func clearNonBlocking(_ descriptor: Int32) throws(SystemError) {
        let flags = try check { fcntl(descriptor, F_GETFL) }
        try check { fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) }
    }

    static func facts(_ descriptor: Int32) throws(SystemError) -> chunkdb_file_facts {
        var facts = chunkdb_file_facts()
        // SAFETY: `facts` outlives the call.
        let result = unsafe chunkdb_file_facts_of(descriptor, &facts)
        if result != 0 { throw SystemError(number: -result) }
        return facts
    }

    static func allocate(_ descriptor: Int32, byteCount: UInt64) throws(SystemError) {
        while true {
            let result = chunkdb_allocate(descriptor, byteCount)
            if result == 0 { return }
            if result != -EINTR { throw SystemError(number: -result) }
        }
    }

    static func freeByteCount(_ descriptor: Int32) throws(SystemError) -> UInt64 {
        var facts = statvfs()
        // SAFETY: `facts` outlives the call.
        try check { unsafe fstatvfs(descriptor, &facts) }
        return UInt64(facts.f_bavail) * UInt64(facts.f_frsize)
    }

    static func names(in directory: Int32) throws(SystemError) -> [String] {
        // SAFETY: the stream takes its own descriptor and is closed on every way out; an entry is
        // copied before the next call.
        let copy = try check { fcntl(directory, F_DUPFD_CLOEXEC, 3) }
        guard let stream = unsafe fdopendir(copy) else {
            let number = errno
            close(copy)
            throw SystemError(number: number)
        }
        defer { unsafe closedir(stream) }
        unsafe rewinddir(stream)
        var names: [String] = []
        errno = 0
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) {
                    unsafe String(cString: $0)
                }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        if errno != 0 { throw SystemError(number: errno) }
        return names.sorted()
    }

    static func read(
        _ descriptor: Int32, _ address: UInt, _ count: Int, _ offset: UInt64
    ) throws(SystemError) -> Int {
        // SAFETY: the request's slice keeps the memory alive until its completion.
        try check {
            unsafe pread(
                descriptor, UnsafeMutableRawPointer(bitPattern: address), count, off_t(offset))
        }
    }

    static func read(_ descriptor: Int32, _ slices: [IOSlice], _ offset: UInt64)
        throws(SystemError) -> Int
    {
        let places = unsafe slices.map { slice in
            unsafe iovec(
                iov_base: UnsafeMutableRawPointer(bitPattern: slice.address),
                iov_len: slice.byteCount)
        }
        // SAFETY: as above, of each slice.
        return try check { unsafe preadv(descriptor, places, Int32(places.count), off_t(offset)) }
    }

    static func write(
        _ descriptor: Int32, _ address: UInt, _ count: Int, _ offset: UInt64
    ) throws(SystemError) -> Int {
        // SAFETY: as above.
        try check {
            unsafe pwrite(descriptor, UnsafeRawPointer(bitPattern: address), count, off_t(offset))
        }
    }

    static func makeDirectory(_ path: String) throws(SystemError) {
        // SAFETY: the path is a C string for the length of the call.
        try check { unsafe mkdir(path, 0o700) }
    }

    static func makeDirectory(in directory: Int32, _ name: String) throws(SystemError) {
        try check { unsafe mkdirat(directory, name, 0o700) }
    }

    static func rename(
        _ source: (directory: Int32, name: String), _ target: (directory: Int32, name: String)
    ) throws(SystemError) {
        try check {
            unsafe renameat(source.directory, source.name, target.directory, target.name)
        }
    }

    static func unlink(_ directory: Int32, _ name: String) throws(SystemError) {
        try check { unsafe unlinkat(directory, name, 0) }
    }

    /// A bell: a descriptor that can be rung and waited for.
    static func makeEvent() throws(SystemError) -> Int32 {
        try check { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) }
    }

    static func ring(_ event: Int32) { _ = eventfd_write(event, 1) }

    static func silence(_ event: Int32) {
        var count: eventfd_t = 0
        // SAFETY: `count` outlives the call.
        _ = unsafe eventfd_read(event, &count)
    }

    static func wait(for event: Int32, milliseconds: Int32) {
        var wanted = pollfd(fd: event, events: Int16(POLLIN), revents: 0)
        // SAFETY: one entry, which outlives the call.
        _ = unsafe poll(&wanted, 1, milliseconds)
    }

    /// The decimal number that a small file of the kernel's holds.
    static func number(inFile path: String) -> Int? {
        text(ofFile: path).flatMap { Int($0.filter { !$0.isWhitespace }) }
    }

    /// A file of the kernel's, whole.
    static func text(ofFile path: String) -> String? {
        guard let descriptor = try? open(path, flags: O_RDONLY | O_CLOEXEC) else { return nil }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 4_096)
        while true {
            // SAFETY: the array outlives the call and is as long as is said.
            let count = unsafe Glibc.read(descriptor, &part, part.count)
            if count < 0 { return nil }
            if count == 0 { return String(decoding: text, as: UTF8.self) }
            text += part[..<count]
        }
    }

    /// Makes a call until it is not interrupted.
    @discardableResult
    static func check<Value: SignedInteger>(_ call: () -> Value) throws(SystemError) -> Value {
        while true {
            let value = call()
            if value >= 0 { return value }
            let number = errno
            if number != EINTR { throw SystemError(number: number) }
        }
    }
}
