import CFakeDevice
import ChunkDB
import EngineTestSupport
import Feed
import Primitives
import Testing

@testable import DeviceFeed

extension OnDevice {
    @Suite("by cuFile, past the host")
    struct Direct {
        @Test("is refused when it would not be direct, or when nobody could verify")
        func refused() throws {
            try session { db in
                let stored = try await StoredPrompt(db)
                let device = try FakeDevice.open()
                fake_set_cufile(0, 0)
                let module = #expect(throws: DeviceError.self) {
                    try DirectFiles(FakeDevice.library, device)
                }
                #expect(module?.description.contains("not direct: the kernel's module") == true)
                fake_set_cufile(1 << 4, 1 << 1)
                let silent = #expect(throws: DeviceError.self) {
                    try DirectFiles(FakeDevice.library, device)
                }
                #expect(silent?.description.contains("allow_compat_mode") == true)
                fake_set_cufile(1 << 4, 0)
                fake_fail("cuFileDriverOpen", 1, 5_001, 0)
                #expect(
                    throws: DeviceError.cuFile(
                        call: "cuFileDriverOpen", purpose: "beginning", number: 5_001,
                        driverNumber: 0)
                ) { try DirectFiles(FakeDevice.library, device) }
                let files = try DirectFiles(FakeDevice.library, device)
                let slabs = try stored.slabs(on: device)
                await #expect(throws: DeviceError.cannotVerify) {
                    try await DeviceFeed.start(
                        stored.items, into: slabs, by: .cuFile(files, .verified))
                }
                // Nothing was read instead in some other way.
                #expect(FakeDevice.count("waits") == 0 && FakeDevice.count("copies") == 0)
            }
        }

        @Test(
            "brings the very bytes, in order, also in many short reads",
            arguments: [DiskEngine.threads, .automatic], [0, 1_000, 4_096])
        func bytes(engine: DiskEngine, limit: Int) throws {
            try session(engine) { db in
                let stored = try await StoredPrompt(db)
                let device = try FakeDevice.open()
                let files = try DirectFiles(FakeDevice.library, device)
                fake_set_read_limit(limit)
                var options = FeedOptions(layersAhead: 2)
                options.skippedLayers = [2]
                let feed = try await DeviceFeed.start(
                    stored.items, into: try stored.slabs(on: device),
                    by: .cuFile(files, .unverified), options: options)
                #expect(
                    feed.path.description
                        == "to fake device by way of cuFile, past the host, NOT verified")
                var layers: [Int] = []
                for try await layer in feed {
                    layers.append(layer.layer)
                    #expect(try stored.isRight(layer))
                }
                #expect(layers == [0, 1, 3, 4, 5])
                #expect(FakeDevice.count("copies") == 0)
                #expect(db.counters.unverifiedBytes == 5 * 2 * 105 * 256)
            }
        }

        @Test("tells which call failed, and goes on with the next layer")
        func faults() throws {
            try session { db in
                let stored = try await StoredPrompt(db)
                let device = try FakeDevice.open()
                let files = try DirectFiles(FakeDevice.library, device)
                let slabs = try stored.slabs(on: device)
                fake_fail("cuFileBufRegister", 1, 5_003, 0)
                await #expect(throws: DeviceError.self) {
                    try await DeviceFeed.start(
                        stored.items, into: slabs, by: .cuFile(files, .unverified))
                }
                for call in ["cuFileRead", "cuFileHandleRegister"] {
                    fake_fail(call, 1, 5_001, 0)
                    let feed = try await DeviceFeed.start(
                        stored.items, into: slabs, by: .cuFile(files, .unverified))
                    var (right, told) = ([Int](), 0)
                    for _ in 0..<6 {
                        switch await feed.next() {
                        case .success(let layer?):
                            if try stored.isRight(layer) { right.append(layer.layer) }
                        case .failure(.cuFile(call, _, 5_001, 0)): told += 1
                        case let other: Issue.record("\(other)")
                        }
                    }
                    #expect(told == 1 && right.count == 5)
                }
            }
        }

        @Test("begins nothing more when it is cancelled, and is drained")
        func cancelled() throws {
            try session { db in
                let stored = try await StoredPrompt(db)
                let device = try FakeDevice.open()
                let files = try DirectFiles(FakeDevice.library, device)
                fake_hold(1)
                let feed = try await DeviceFeed.start(
                    stored.items, into: try stored.slabs(on: device),
                    by: .cuFile(files, .unverified), options: FeedOptions(layersAhead: 6))
                let waiting = Task { try await feed.nextLayer() }
                waiting.cancel()
                await #expect(throws: DeviceError.store(.cancelled)) { try await waiting.value }
                feed.cancel()
                let drained = Task { await feed.cancelAndWait() }
                try await Task.sleep(for: .milliseconds(20))
                let begun = FakeDevice.count("waits")
                fake_hold(0)
                await drained.value
                // Eight threads were in a read each; what waited for them was never asked for.
                #expect(FakeDevice.count("waits") <= begun + 8)
                #expect(try await feed.nextLayer()?.layer == nil)
            }
        }

        @Test("keeps a store from closing while it reads, and reads nothing afterwards")
        func closing() throws {
            try session { db in
                let stored = try await StoredPrompt(db)
                let device = try FakeDevice.open()
                let files = try DirectFiles(FakeDevice.library, device)
                fake_delay(7, 1_000)
                let feed = try await DeviceFeed.start(
                    stored.items, into: try stored.slabs(on: device),
                    by: .cuFile(files, .unverified), options: FeedOptions(layersAhead: 1))
                let first = try await feed.nextLayer()
                #expect(try stored.isRight(try #require(first)))
                await db.close()
                var isClosed = false
                for _ in 0..<6 {
                    switch await feed.next() {
                    case .success(nil): break
                    case .success(let layer?):
                        #expect(!isClosed)
                        #expect(try stored.isRight(layer))
                    case .failure(.store(.log(.closed))): isClosed = true
                    case .failure(let error): Issue.record("\(error)")
                    }
                }
                #expect(isClosed)
            }
        }
    }
}
