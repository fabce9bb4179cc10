// cuFile: the disk's bytes go to the device without the host's memory in between, where the kernel
// and the disk can do that. Where they cannot, cuFile would go by way of the host and not say so;
// that is refused here.

import CDeviceDriver
import Glibc

/// cuFile, loaded and direct. *Concurrency:* any thread.
@safe public final class DirectFiles: @unchecked Sendable {
    // SAFETY: immutable; addresses of functions that may be called from any thread.
    let device: Device
    private let closeDriver: chunkdb_cuFileDriverClose
    private let registerHandle: chunkdb_cuFileHandleRegister
    private let deregisterHandle: chunkdb_cuFileHandleDeregister
    private let registerBuffer: chunkdb_cuFileBufRegister
    private let deregisterBuffer: chunkdb_cuFileBufDeregister
    private let read: chunkdb_cuFileRead

    /// Looks for cuFile on this machine. *Throws:* `.libraryMissing`, `.symbolMissing`, `.cuFile`;
    /// `.notDirect` when it would read by way of the host.
    public static func load(for device: Device) throws(DeviceError) -> DirectFiles {
        try DirectFiles(try DriverLibrary.open("libcufile.so.0"), device)
    }

    package init(_ library: DriverLibrary, _ device: Device) throws(DeviceError) {
        let open = try library.function(
            "cuFileDriverOpen", as: chunkdb_cuFileDriverOpen.self)
        let properties = unsafe try library.function(
            "cuFileDriverGetProperties", as: chunkdb_cuFileDriverGetProperties.self)
        closeDriver = try library.function(
            "cuFileDriverClose", as: chunkdb_cuFileDriverClose.self)
        unsafe registerHandle = try library.function(
            "cuFileHandleRegister", as: chunkdb_cuFileHandleRegister.self)
        unsafe deregisterHandle = try library.function(
            "cuFileHandleDeregister", as: chunkdb_cuFileHandleDeregister.self)
        unsafe registerBuffer = try library.function(
            "cuFileBufRegister", as: chunkdb_cuFileBufRegister.self)
        unsafe deregisterBuffer = try library.function(
            "cuFileBufDeregister", as: chunkdb_cuFileBufDeregister.self)
        unsafe read = try library.function("cuFileRead", as: chunkdb_cuFileRead.self)
        try Self.require(open(), "cuFileDriverOpen", "beginning")
        // From here on `deinit` closes.
        self.device = device
        var found = chunkdb_cufile_properties()
        // SAFETY: one structure to write to, with room behind for later versions.
        try Self.require(
            unsafe properties(&found), "cuFileDriverGetProperties", "asking what is direct")
        if found.status_flags & chunkdb_cufile_reads_nvme == 0 {
            throw .notDirect(reason: "the kernel's module reads no NVMe device (nvidia-fs)")
        }
        if found.control_flags & chunkdb_cufile_allows_compatibility != 0 {
            throw .notDirect(
                reason: "it may go by way of the host unasked; set allow_compat_mode to false in "
                    + "cufile.json")
        }
    }

    deinit {
        // Whoever reads holds this object.
        _ = closeDriver()
    }

    private static func require(
        _ result: chunkdb_cufile_result, _ call: String, _ purpose: String
    ) throws(DeviceError) {
        if result.error == 0 { return }
        throw .cuFile(
            call: call, purpose: purpose, number: Int(result.error),
            driverNumber: Int(result.driver_error))
    }

    // MARK: Memory

    /// A buffer as the target of reads, until `deinit`.
    final class Target: Sendable {
        let files: DirectFiles
        let buffer: DeviceBuffer

        init(_ files: DirectFiles, _ buffer: DeviceBuffer) throws(DeviceError) {
            var result = chunkdb_cufile_result()
            try files.device.call("cuFileBufRegister", "device memory") { _ in
                // SAFETY: a device's address, which stays allocated as long as `buffer` lives.
                unsafe result = files.registerBuffer(
                    UnsafeRawPointer(bitPattern: UInt(buffer.address)), buffer.byteCount, 0)
                return 0
            }
            try DirectFiles.require(result, "cuFileBufRegister", "\(buffer.byteCount) bytes")
            self.files = files
            self.buffer = buffer
        }

        deinit {
            try? files.device.call("cuFileBufDeregister", "device memory") { _ in
                // SAFETY: registered by `init`; every read holds this object.
                _ = unsafe files.deregisterBuffer(
                    UnsafeRawPointer(bitPattern: UInt(buffer.address)))
                return 0
            }
        }
    }

    // MARK: Files

    /// A part of a file and where it goes.
    struct Read {
        let fileOffset: UInt64
        let byteCount: Int
        /// In the target's buffer.
        let offset: Int
    }

    /// Reads parts of one file, in order, and waits for them. The descriptor is the caller's.
    /// *Returns:* the number and the bytes of a read that the file was too short for.
    func read(_ reads: [Read], _ descriptor: Int32, into targets: [Target])
        throws(DeviceError) -> (index: Int, found: Int)?
    {
        var handle: chunkdb_cufile_handle?
        var result = chunkdb_cufile_result()
        var short: (index: Int, found: Int)?
        var failure: DeviceError?
        try device.call("cuFileHandleRegister", "a segment's file") { _ in
            var file = unsafe chunkdb_cufile_file()
            unsafe file.kind = chunkdb_cufile_kind_descriptor
            unsafe file.place.descriptor = descriptor
            // SAFETY: one handle to write to, one description to read.
            unsafe result = registerHandle(&handle, &file)
            guard result.error == 0, let handle = unsafe handle else { return 0 }
            do throws(DeviceError) {
                for (index, part) in reads.enumerated() where short == nil {
                    let found = unsafe try read(part, handle, into: targets[index])
                    if found < part.byteCount { short = (index, found) }
                }
            } catch {
                failure = error
            }
            // SAFETY: every read has returned.
            unsafe deregisterHandle(handle)
            return 0
        }
        try Self.require(result, "cuFileHandleRegister", "a segment's file")
        if let failure { throw failure }
        return short
    }

    private func read(_ part: Read, _ handle: chunkdb_cufile_handle, into target: Target)
        throws(DeviceError) -> Int
    {
        var done = 0
        while done < part.byteCount {
            // SAFETY: inside the buffer, which `target` holds; the call returns when it has ended.
            let count = unsafe read(
                handle, UnsafeMutableRawPointer(bitPattern: UInt(target.buffer.address)),
                part.byteCount - done, off_t(part.fileOffset) + off_t(done),
                off_t(part.offset + done))
            if count == -1 && errno == EINTR { continue }
            if count < 0 {
                throw .cuFile(
                    call: "cuFileRead", purpose: "\(part.byteCount) bytes",
                    number: count == -1 ? Int(errno) : -count, driverNumber: 0)
            }
            if count == 0 { break }
            done += count
        }
        return done
    }
}
