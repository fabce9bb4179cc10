import CFakeDevice
import ChunkDB
import EngineTestSupport
import Feed
import Foundation
import Glibc
import Primitives
import StoreTestSupport
import Testing

@testable import DeviceFeed

extension OnDevice {
    @Suite("by way of pinned host memory")
    struct Bounce {
        @Test(
            "brings the very bytes, in order, with room for one layer as for many",
            arguments: [DiskEngine.threads, .automatic], [1, 2, 64])
        func bytes(engine: DiskEngine, rooms: Int) throws {
            try session(engine) { db in
                let stored = try await StoredPrompt(db)
                let device = try FakeDevice.open()
                // A layer's slab takes 128 KiB here: rows of 256 bytes, twice, and a landing area.
                let memory = try BounceMemory(on: device, byteCount: rooms * 128 << 10)
                for seed in 0..<20 {
                    fake_delay(UInt64(seed), 2_000)
                    let slabs = try stored.slabs(on: device)
                    let feed = try await DeviceFeed.start(
                        stored.items, into: slabs, by: .bounce(memory))
                    var layers: [Int] = []
                    for try await layer in feed {
                        layers.append(layer.layer)
                        #expect(try stored.isRight(layer))
                        #expect(layer.rowCount == 105 && layer.rows(ofChunk: 2) == 56..<73)
                        #expect(layer.plane(chunk: 2, .values).byteCount == 17 * 256)
                    }
                    #expect(layers == [0, 1, 2, 3, 4, 5])
                    #expect(feed.misses == [] && feed.layerCount == 6)
                    #expect(
                        feed.path.description
                            == "to fake device by way of pinned host memory, verified on the host")
                }
                // Everything that was lent is back.
                #expect(memory.freeByteCount == memory.byteCount)
                #expect(db.counters.unverifiedBytes == 0)
            }
        }

        @Test("says so when what is not verified was asked for by name")
        func unverified() throws {
            try session { db in
                let stored = try await StoredPrompt(db)
                let device = try FakeDevice.open()
                let feed = try await DeviceFeed.start(
                    stored.items, into: try stored.slabs(on: device),
                    by: .bounce(try BounceMemory(on: device, byteCount: 4 << 20)),
                    options: FeedOptions(verification: .unverified))
                #expect(feed.path.description.hasSuffix("NOT verified"))
                while let layer = try await feed.nextLayer() {
                    #expect(try stored.isRight(layer))
                }
                #expect(db.counters.unverifiedBytes > 0)
            }
        }

        @Test("uses no byte again before its copy has ended, however long that takes")
        func held() throws {
            try session { db in
                let stored = try await StoredPrompt(db)
                let device = try FakeDevice.open()
                let memory = try BounceMemory(on: device, byteCount: 128 << 10)
                fake_hold(1)
                let feed = try await DeviceFeed.start(
                    stored.items, into: try stored.slabs(on: device), by: .bounce(memory))
                // A child, on the caller's thread: other tests may have all of the pool's.
                await withTaskGroup { group in
                    group.addTask {
                        await #expect(throws: DeviceError.store(.cancelled)) {
                            try await feed.nextLayer()
                        }
                    }
                    // Keys and values of one layer; the next has no memory before they ended.
                    #expect(await FakeDevice.hasCopies(2))
                    try? await Task.sleep(for: .milliseconds(50))
                    #expect(FakeDevice.count("copies") == 2)
                    #expect(memory.freeByteCount == 0)
                    group.cancelAll()
                }
                fake_hold(0)
                // The wait had ended, nothing else: the layer comes.
                var layers: [Int] = []
                while let layer = try await feed.nextLayer() {
                    layers.append(layer.layer)
                    #expect(try stored.isRight(layer))
                }
                #expect(layers == [0, 1, 2, 3, 4, 5])
            }
        }

        @Test("keeps what a copy needs when its feed, its memory and its store are gone")
        func dropped() throws {
            try session { db in
                let stored = try await StoredPrompt(db)
                fake_hold(1)
                do {
                    let device = try FakeDevice.open()
                    let memory = try BounceMemory(on: device, byteCount: 1 << 20)
                    let feed = try await DeviceFeed.start(
                        stored.items, into: try stored.slabs(on: device), by: .bounce(memory))
                    await withTaskGroup { group in
                        group.addTask { _ = try? await feed.nextLayer() }
                        #expect(await FakeDevice.hasCopies(2))
                        group.cancelAll()
                    }
                    feed.cancel()
                    #expect(try await feed.nextLayer()?.layer == nil)
                }
                await db.close()
                try await Task.sleep(for: .milliseconds(50))
                for kind in ["memory", "pinned", "context", "stream", "event"] {
                    #expect(FakeDevice.count(kind) == 1, "\(kind)")
                }
                fake_hold(0)
            }
        }

        @Test("is drained by those who use the device's memory for something else then")
        func drained() throws {
            try session { db in
                let stored = try await StoredPrompt(db)
                let device = try FakeDevice.open()
                let memory = try BounceMemory(on: device, byteCount: 1 << 20)
                for seed in 0..<10 {
                    fake_delay(UInt64(seed), 3_000)
                    let slabs = try stored.slabs(on: device)
                    let feed = try await DeviceFeed.start(
                        stored.items, into: slabs, by: .bounce(memory))
                    for _ in 0..<seed % 4 { _ = try await feed.nextLayer() }
                    await feed.cancelAndWait()
                    let before = try slabs.keys[0].buffer.bytes(0..<slabs.keys[0].buffer.byteCount)
                    #expect(try await feed.nextLayer()?.layer == nil)
                    try await Task.sleep(for: .milliseconds(5))
                    let after = try slabs.keys[0].buffer.bytes(0..<slabs.keys[0].buffer.byteCount)
                    #expect(before == after)
                }
            }
        }

        @Test("refuses places and memory that are too small, with the numbers")
        func tooSmall() throws {
            try session { db in
                let stored = try await StoredPrompt(db)
                let device = try FakeDevice.open()
                let small = try BounceMemory(on: device, byteCount: 64 << 10)
                let slabs = try stored.slabs(on: device)
                let error = await #expect(throws: DeviceError.self) {
                    try await DeviceFeed.start(stored.items, into: slabs, by: .bounce(small))
                }
                guard case .bounceTooSmall(let expected, 65_536) = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                #expect(expected > 65_536 && expected <= 128 << 10)

                let memory = try BounceMemory(on: device, byteCount: 1 << 20)
                let narrow = try DeviceSlabs(on: device, for: stored.space.binding, rowCount: 104)
                let feed = try await DeviceFeed.start(
                    stored.items, into: narrow, by: .bounce(memory))
                await #expect(
                    throws: DeviceError.noPlace(
                        layer: 0, expectedBytes: 105 * 256, foundBytes: 104 * 256)
                ) { try await feed.nextLayer() }
                let few = DeviceSlabs(
                    keys: Array(slabs.keys.prefix(2)), values: Array(slabs.values.prefix(2)))
                let other = try await DeviceFeed.start(stored.items, into: few, by: .bounce(memory))
                for _ in 0..<2 {
                    #expect(try stored.isRight(try #require(await other.nextLayer())))
                }
                await #expect(
                    throws: DeviceError.noPlace(
                        layer: 2, expectedBytes: 105 * 256, foundBytes: 0)
                ) { try await other.nextLayer() }
            }
        }

        @Test("hands over no damaged layer, and the others; misses are told")
        func damage() throws {
            fake_reset()
            let place = StorePlace(.real(.threads))
            try place.session { db in _ = try await StoredPrompt(db) }
            let binding = smallBinding(layers: 6)
            let plane = TestChunk(1, tokenCount: 40).layers(binding)[3].values
            try flip(Array(plane[4_096..<4_160]), below: place.path)
            try place.session { db in
                let stored = try await StoredPrompt(db)
                let device = try FakeDevice.open()
                let memory = try BounceMemory(on: device, byteCount: 1 << 20)
                let absent = FeedItem(stored.space, stored.space.key(tokens: [1, 2, 3]))
                let feed = try await DeviceFeed.start(
                    [absent] + stored.items, into: try stored.slabs(on: device),
                    by: .bounce(memory))
                #expect(feed.misses == [0])
                var outcomes: [Int] = []
                for layer in 0..<6 {
                    switch await feed.next() {
                    case .success(let next?):
                        #expect(try stored.isRight(next))
                        outcomes.append(layer)
                    case .failure(.store(.damaged(let facts))):
                        #expect(facts.key == stored.chunks[1].key(in: stored.space))
                    case let other: Issue.record("\(other)")
                    }
                }
                #expect(outcomes == [0, 1, 2, 4, 5])
                #expect(try await feed.nextLayer()?.layer == nil)
            }
            #expect(FakeDevice.count("violations") == 0)
        }
    }
}

/// Changes a byte of the only place below a directory where these bytes stand.
func flip(_ pattern: [UInt8], below directory: String) throws {
    let files = FileManager.default.enumerator(atPath: directory)
    while let name = files?.nextObject() as? String {
        let url = URL(filePath: "\(directory)/\(name)")
        guard var data = try? Data(contentsOf: url), let range = data.range(of: Data(pattern))
        else { continue }
        data[range.lowerBound] ^= 1
        let handle = try FileHandle(forWritingTo: url)
        try handle.seek(toOffset: UInt64(range.lowerBound))
        try handle.write(contentsOf: data[range.lowerBound..<range.lowerBound + 1])
        try handle.close()
        return
    }
    Issue.record("the bytes stand nowhere")
}
