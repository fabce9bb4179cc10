// One whole file into memory. Plain reads: a checkpoint is read once, at start, and its digest
// needs every byte anyway.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// All bytes of the regular file `directory/name`. *Throws:* `CheckpointError` naming the file.
func readCheckpointFile(
    directory: String, name: String, byteCountMax: Int
) throws(CheckpointError) -> [UInt8] {
    let path = directory.isEmpty ? name : "\(directory)/\(name)"
    func refuse(_ reason: String) -> CheckpointError {
        CheckpointError(file: path, reason: reason)
    }
    // O_NONBLOCK: a FIFO under this name must be refused, not waited for.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw refuse(systemMessage(errno)) }
    defer { close(descriptor) }
    var facts = stat()
    guard unsafe fstat(descriptor, &facts) == 0 else { throw refuse(systemMessage(errno)) }
    guard facts.st_mode & S_IFMT == S_IFREG else { throw refuse("not a regular file") }
    guard facts.st_size <= byteCountMax else {
        throw refuse("\(facts.st_size) bytes exceed \(byteCountMax)")
    }
    var failure: CInt = 0
    // SAFETY: `read` writes at most the bytes that are left of the buffer, and what it has written
    // is counted before it is called initialized.
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: Int(facts.st_size)) { buffer, done in
        while done < buffer.count {
            let count = unsafe read(descriptor, buffer.baseAddress! + done, buffer.count - done)
            if count < 0, errno == EINTR { continue }
            if count < 0 { failure = errno }
            if count <= 0 { break }
            done += count
        }
    }
    guard failure == 0 else { throw refuse(systemMessage(failure)) }
    guard bytes.count == Int(facts.st_size) else {
        throw refuse("ended after \(bytes.count) of \(facts.st_size) bytes")
    }
    return bytes
}

private func systemMessage(_ number: CInt) -> String {
    number == ENOENT ? "not found" : unsafe String(cString: strerror(number))
}
