import CFakeDevice
import ChunkDB
import EngineTestSupport
import Feed
import Primitives
import Testing

@testable import DeviceFeed

extension OnDevice {
    @Suite("with a driver that fails")
    struct Faults {
        /// Calls of a feed's life, and how often each is tried as the one that fails.
        static let calls: [(name: String, times: Int)] = [
            ("cuDeviceGetCount", 1), ("cuDeviceGet", 1), ("cuDeviceGetName", 1),
            ("cuDevicePrimaryCtxRetain", 1), ("cuCtxPushCurrent_v2", 24), ("cuMemAlloc_v2", 1),
            ("cuMemHostRegister_v2", 1), ("cuStreamCreate", 1), ("cuMemcpyHtoDAsync_v2", 8),
            ("cuEventCreate", 4), ("cuEventRecord", 4), ("cuEventSynchronize", 4),
        ]

        /// What a feed brings, from the driver on. A layer that fails is told and left out.
        private func life(_ stored: StoredPrompt) async -> (right: [Int], told: [String]) {
            var (right, told) = ([Int](), [String]())
            let start = await begin(stored)
            guard case .success(let feed) = start else {
                if case .failure(.driver(let call, _, _, _)) = start { told.append(call) }
                return (right, told)
            }
            while told.count < 20 {
                switch await feed.next() {
                case .success(nil): return (right, told)
                case .success(let layer?):
                    // Reading back is the test's own: it may meet the fault, and says nothing then.
                    if (try? stored.isRight(layer)) ?? false { right.append(layer.layer) }
                case .failure(.driver(let call, _, _, _)): told.append(call)
                case .failure(let error): told.append("\(error)")
                }
            }
            return (right, told)
        }

        private func begin(_ stored: StoredPrompt) async -> Result<DeviceFeed, DeviceError> {
            do {
                let device = try FakeDevice.open()
                let memory = try BounceMemory(on: device, byteCount: 256 << 10)
                let slabs = try stored.slabs(on: device)
                return .success(
                    try await DeviceFeed.start(stored.items, into: slabs, by: .bounce(memory)))
            } catch {
                return .failure(error)
            }
        }

        @Test("any call once: the error names it, no wrong byte is handed over, nothing is left")
        func everyCall() throws {
            try session { db in
                let stored = try await StoredPrompt(db)
                for call in Self.calls {
                    for nth in 1...call.times {
                        fake_reset()
                        fake_delay(UInt64(nth), 200)
                        fake_fail(call.name, Int32(nth), 700, 0)
                        let (right, told) = await life(stored)
                        let place: Comment = "\(call.name), \(nth)"
                        let leftovers = await FakeDevice.leftovers()
                        if call.name == "cuCtxPushCurrent_v2" {
                            // Some are of reading back, or of giving back, which nobody is told.
                            #expect(told.count <= 1 && right.count >= 5 - 5 * told.count, place)
                            continue
                        }
                        #expect(leftovers == [], place)
                        #expect(FakeDevice.count("violations") == 0, place)
                        #expect(told == [call.name], place)
                        let isOfOneLayer =
                            call.name.hasPrefix("cuEvent") || call.name.contains("Async")
                        #expect(right.count == (isOfOneLayer ? 5 : 0), place)
                    }
                }
                fake_reset()
            }
        }

        @Test("a copy that fails on its way: that layer is not handed over, the others are right")
        func copy() throws {
            try session { db in
                let stored = try await StoredPrompt(db)
                for nth in 1...12 {
                    fake_reset()
                    fake_fail_copy(Int32(nth), 700, 0)
                    let (right, told) = await life(stored)
                    #expect(told == ["cuEventSynchronize"])
                    #expect(right == (0..<6).filter { $0 != (nth - 1) / 2 })
                    let leftovers = await FakeDevice.leftovers()
                    #expect(leftovers == [])
                    #expect(FakeDevice.count("violations") == 0)
                }
            }
        }

        @Test("a device that is lost: what it may still touch is kept for ever")
        func lost() throws {
            // Pinned and device memory, and what holds them.
            try session(keeps: ["1 memory", "1 pinned", "1 context"]) { db in
                let stored = try await StoredPrompt(db)
                let device = try FakeDevice.open()
                let memory = try BounceMemory(on: device, byteCount: 256 << 10)
                let feed = try await DeviceFeed.start(
                    stored.items, into: try stored.slabs(on: device), by: .bounce(memory))
                let first = try await feed.nextLayer()
                #expect(try stored.isRight(try #require(first)))
                fake_fail_copy(1, 700, 1)
                var failures = 0
                for _ in 0..<5 {
                    switch await feed.next() {
                    case .failure(.driver(_, _, 700, "CUDA_ERROR_ILLEGAL_ADDRESS")): failures += 1
                    // Nothing that was lent comes back.
                    case .failure(.bounceTooSmall): break
                    case let other: Issue.record("\(other)")
                    }
                }
                #expect(failures >= 1 && memory.copies.lostCount >= 1)
                #expect(memory.freeByteCount < memory.byteCount)
            }
        }

        @Test("memory that cannot be pinned, and memory that the device has not")
        func memory() throws {
            try session { db in
                let stored = try await StoredPrompt(db)
                let device = try FakeDevice.open()
                fake_fail("cuMemHostRegister_v2", 1, 2, 0)
                let error = #expect(throws: DeviceError.self) {
                    try BounceMemory(on: device, byteCount: 1 << 20)
                }
                #expect(
                    error?.description == "cuMemHostRegister_v2, pinning 1048576 bytes: "
                        + "CUDA_ERROR_OUT_OF_MEMORY (2)")
                fake_fail("cuMemAlloc_v2", 1, 2, 0)
                #expect(throws: DeviceError.self) { try stored.slabs(on: device) }
            }
        }
    }
}
