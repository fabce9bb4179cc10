// A file that must not exist yet, written front to back. KV planes are somebody's prompt, so only
// the user may read it.

import Foundation

final class NewFile {
    let path: String
    private let handle: FileHandle
    private(set) var byteCount: UInt64 = 0

    /// *Throws:* `.cannotWrite`, also when anything stands there already.
    init(path: String) throws(ShellError) {
        self.path = path
        // SAFETY: the path is a C string for the time of the call.
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            let reason = errno == EEXIST
                ? "it exists already, and nothing is overwritten" : Self.text(errno)
            throw ShellError(.cannotWrite, "\(path): \(reason)")
        }
        handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    func append(_ bytes: [UInt8]) throws(ShellError) {
        do {
            try handle.write(contentsOf: Data(bytes))
            byteCount += UInt64(bytes.count)
        } catch {
            throw ShellError(.cannotWrite, "\(path): \(error.localizedDescription)")
        }
    }

    /// Takes an unfinished file away again.
    func discard() {
        try? handle.close()
        // SAFETY: as above; the file was made by this object.
        _ = unsafe unlink(path)
    }

    private static func text(_ number: Int32) -> String {
        // SAFETY: strerror returns a C string that is copied at once.
        unsafe String(cString: strerror(number))
    }
}
