// A shared library that is looked for when a program runs. It is never unloaded: drivers have
// threads of their own.

import CDeviceDriver
import Glibc

/// Functions by name. Tests put their own behind it.
package struct DriverLibrary: Sendable {
    let name: String
    /// The function's address; `nil` when the library has no such function.
    let find: @Sendable (String) -> UInt?

    package init(name: String, find: @escaping @Sendable (String) -> UInt?) {
        self.name = name
        self.find = find
    }

    /// *Throws:* `.libraryMissing`.
    package static func open(_ name: String) throws(DeviceError) -> DriverLibrary {
        // SAFETY: a C string for the call's duration; a failure's text is copied at once.
        guard let library = unsafe dlopen(name, RTLD_NOW | RTLD_LOCAL) else {
            let reason = unsafe dlerror().map { unsafe String(cString: $0) } ?? "dlopen failed"
            throw .libraryMissing(library: name, reason: reason)
        }
        let handle = UInt(bitPattern: library)
        return DriverLibrary(name: name) { symbol in
            // SAFETY: the library stays; the symbol is only looked up here.
            unsafe dlsym(UnsafeMutableRawPointer(bitPattern: handle), symbol).map {
                UInt(bitPattern: $0)
            }
        }
    }

    /// *Throws:* `.symbolMissing`.
    func function<Function>(_ symbol: String, as: Function.Type) throws(DeviceError) -> Function {
        guard let address = find(symbol), address != 0 else {
            throw .symbolMissing(library: name, symbol: symbol)
        }
        // SAFETY: the types are those of the documented functions of these names, pointers both.
        return unsafe unsafeBitCast(address, to: Function.self)
    }
}

/// The driver's functions. *Concurrency:* any thread; a context must be current where one is meant.
@safe struct DriverCalls: @unchecked Sendable {
    // SAFETY: addresses of functions that may be called from any thread; immutable.
    let initialize: chunkdb_cuInit
    let version: chunkdb_cuDriverGetVersion
    let errorName: chunkdb_cuGetErrorName
    let deviceCount: chunkdb_cuDeviceGetCount
    let device: chunkdb_cuDeviceGet
    let deviceName: chunkdb_cuDeviceGetName
    let retainContext: chunkdb_cuDevicePrimaryCtxRetain
    let releaseContext: chunkdb_cuDevicePrimaryCtxRelease_v2
    let pushContext: chunkdb_cuCtxPushCurrent_v2
    let popContext: chunkdb_cuCtxPopCurrent_v2
    let allocate: chunkdb_cuMemAlloc_v2
    let free: chunkdb_cuMemFree_v2
    let registerHost: chunkdb_cuMemHostRegister_v2
    let unregisterHost: chunkdb_cuMemHostUnregister
    let copyToDevice: chunkdb_cuMemcpyHtoDAsync_v2
    let copyToHost: chunkdb_cuMemcpyDtoH_v2
    let makeStream: chunkdb_cuStreamCreate
    let awaitStream: chunkdb_cuStreamSynchronize
    let endStream: chunkdb_cuStreamDestroy_v2
    let makeEvent: chunkdb_cuEventCreate
    let recordEvent: chunkdb_cuEventRecord
    let awaitEvent: chunkdb_cuEventSynchronize
    let endEvent: chunkdb_cuEventDestroy_v2

    init(_ library: DriverLibrary) throws(DeviceError) {
        initialize = try library.function("cuInit", as: chunkdb_cuInit.self)
        unsafe version = try library.function(
            "cuDriverGetVersion", as: chunkdb_cuDriverGetVersion.self)
        unsafe errorName = try library.function("cuGetErrorName", as: chunkdb_cuGetErrorName.self)
        unsafe deviceCount = try library.function(
            "cuDeviceGetCount", as: chunkdb_cuDeviceGetCount.self)
        unsafe device = try library.function("cuDeviceGet", as: chunkdb_cuDeviceGet.self)
        unsafe deviceName = try library.function(
            "cuDeviceGetName", as: chunkdb_cuDeviceGetName.self)
        unsafe retainContext = try library.function(
            "cuDevicePrimaryCtxRetain", as: chunkdb_cuDevicePrimaryCtxRetain.self)
        releaseContext = try library.function(
            "cuDevicePrimaryCtxRelease_v2", as: chunkdb_cuDevicePrimaryCtxRelease_v2.self)
        unsafe pushContext = try library.function(
            "cuCtxPushCurrent_v2", as: chunkdb_cuCtxPushCurrent_v2.self)
        unsafe popContext = try library.function(
            "cuCtxPopCurrent_v2", as: chunkdb_cuCtxPopCurrent_v2.self)
        unsafe allocate = try library.function("cuMemAlloc_v2", as: chunkdb_cuMemAlloc_v2.self)
        free = try library.function("cuMemFree_v2", as: chunkdb_cuMemFree_v2.self)
        unsafe registerHost = try library.function(
            "cuMemHostRegister_v2", as: chunkdb_cuMemHostRegister_v2.self)
        unsafe unregisterHost = try library.function(
            "cuMemHostUnregister", as: chunkdb_cuMemHostUnregister.self)
        unsafe copyToDevice = try library.function(
            "cuMemcpyHtoDAsync_v2", as: chunkdb_cuMemcpyHtoDAsync_v2.self)
        unsafe copyToHost = try library.function(
            "cuMemcpyDtoH_v2", as: chunkdb_cuMemcpyDtoH_v2.self)
        unsafe makeStream = try library.function("cuStreamCreate", as: chunkdb_cuStreamCreate.self)
        unsafe awaitStream = try library.function(
            "cuStreamSynchronize", as: chunkdb_cuStreamSynchronize.self)
        unsafe endStream = try library.function(
            "cuStreamDestroy_v2", as: chunkdb_cuStreamDestroy_v2.self)
        unsafe makeEvent = try library.function("cuEventCreate", as: chunkdb_cuEventCreate.self)
        unsafe recordEvent = try library.function("cuEventRecord", as: chunkdb_cuEventRecord.self)
        unsafe awaitEvent = try library.function(
            "cuEventSynchronize", as: chunkdb_cuEventSynchronize.self)
        unsafe endEvent = try library.function(
            "cuEventDestroy_v2", as: chunkdb_cuEventDestroy_v2.self)
    }
}
