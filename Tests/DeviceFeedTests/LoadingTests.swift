import CFakeDevice
import Testing

@testable import DeviceFeed

extension OnDevice {
    @Suite("begins with a library that may not be there")
    struct Loading {
        @Test("and says what is missing, where, and what to do")
        func missing() throws {
            let missing = #expect(throws: DeviceError.self) {
                try DriverLibrary.open("libchunkdb-no-such-thing.so.1")
            }
            let text = try #require(missing).description
            #expect(text.hasPrefix("libchunkdb-no-such-thing.so.1 not found: "))
            #expect(text.contains("No such file") && text.contains("install the vendor's driver"))
            // A library that is there and is another.
            let other = try DriverLibrary.open("libc.so.6")
            #expect(throws: DeviceError.symbolMissing(library: "libc.so.6", symbol: "cuInit")) {
                try DeviceDriver(other)
            }
        }

        /// Where a driver is installed, it answers; this machine's is not judged.
        @Test("on this very machine: a driver, or an error that names it")
        func here() throws {
            do throws(DeviceError) {
                let driver = try DeviceDriver.load()
                #expect(try driver.version > 0)
            } catch .libraryMissing(let library, let reason) {
                #expect(library == "libcuda.so.1" && !reason.isEmpty)
            } catch .driver(let call, _, let number, _) {
                // Installed on a machine without a device.
                #expect(call == "cuInit" && number != 0)
            }
        }

        @Test("whose every function is asked for by its name")
        func symbols() async throws {
            fake_reset()
            let names = [
                "cuInit", "cuDriverGetVersion", "cuGetErrorName", "cuDeviceGetCount",
                "cuDeviceGet", "cuDeviceGetName", "cuDevicePrimaryCtxRetain",
                "cuDevicePrimaryCtxRelease_v2", "cuCtxPushCurrent_v2", "cuCtxPopCurrent_v2",
                "cuMemAlloc_v2", "cuMemFree_v2", "cuMemHostRegister_v2", "cuMemHostUnregister",
                "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoH_v2", "cuStreamCreate",
                "cuStreamSynchronize", "cuStreamDestroy_v2", "cuEventCreate", "cuEventRecord",
                "cuEventSynchronize", "cuEventDestroy_v2",
            ]
            for name in names {
                fake_hide(name)
                let expected = DeviceError.symbolMissing(library: "libfake.so.1", symbol: name)
                #expect(throws: expected) { try FakeDevice.open() }
            }
            fake_hide(nil)
            let device = try FakeDevice.open()
            for name in [
                "cuFileDriverOpen", "cuFileDriverClose", "cuFileDriverGetProperties",
                "cuFileHandleRegister", "cuFileHandleDeregister", "cuFileBufRegister",
                "cuFileBufDeregister", "cuFileRead",
            ] {
                fake_hide(name)
                let expected = DeviceError.symbolMissing(library: "libfake.so.1", symbol: name)
                #expect(throws: expected) { try DirectFiles(FakeDevice.library, device) }
            }
            fake_hide(nil)
        }

        @Test("and a device that may not be there either")
        func noDevice() throws {
            fake_reset()
            fake_set_device_count(0)
            let driver = try DeviceDriver(FakeDevice.library)
            #expect(try driver.deviceCount == 0 && driver.version == 12_040)
            #expect(throws: DeviceError.noDevice(ordinal: 0, deviceCount: 0)) { try driver.open() }
            fake_set_device_count(2)
            #expect(throws: DeviceError.noDevice(ordinal: 2, deviceCount: 2)) {
                try driver.open(2)
            }
            #expect(throws: DeviceError.noDevice(ordinal: -1, deviceCount: 2)) {
                try driver.open(-1)
            }
            #expect(try driver.open(1).name == "fake device")
            fake_fail("cuInit", 1, 100, 0)
            #expect(
                throws: DeviceError.driver(
                    call: "cuInit", purpose: "beginning", number: 100,
                    name: "an error without a name")
            ) { try DeviceDriver(FakeDevice.library) }
        }

        @Test("gives memory that is freed once, or is somebody else's")
        func memory() async throws {
            fake_reset()
            do {
                let device = try FakeDevice.open()
                let buffer = try DeviceBuffer(on: device, byteCount: 1_000)
                #expect(FakeDevice.count("memory") == 1)
                #expect(try buffer.bytes(10..<12) == [0xEE, 0xEE])
                #expect(try buffer.bytes(5..<5) == [])
                let part = DeviceBuffer(
                    on: device, address: buffer.address + 100, byteCount: 50, owner: buffer)
                // As many bytes of pinned memory as there are, and no more.
                let bounce = try BounceMemory(on: device, byteCount: 64 << 10)
                try await bounce.copyAnything(to: DeviceSlice(buffer, 0..<1_000))
                #expect(try buffer.bytes(0..<1_000) != [UInt8](repeating: 0xEE, count: 1_000))
                await #expect(
                    throws: DeviceError.bounceTooSmall(expectedBytes: 65_537, freeBytes: 65_536)
                ) {
                    let large = try DeviceBuffer(on: device, byteCount: 65_537)
                    try await bounce.copyAnything(to: DeviceSlice(large, 0..<65_537))
                }
                #expect(DeviceSlice(part, 8..<20).slice(1..<3).address == buffer.address + 109)
                fake_fail("cuMemAlloc_v2", 1, 2, 0)
                #expect(
                    throws: DeviceError.driver(
                        call: "cuMemAlloc_v2", purpose: "4096 bytes", number: 2,
                        name: "CUDA_ERROR_OUT_OF_MEMORY")
                ) { try DeviceBuffer(on: device, byteCount: 4_096) }
            }
            #expect(await FakeDevice.leftovers() == [])
            #expect(FakeDevice.count("violations") == 0)
        }
    }
}
