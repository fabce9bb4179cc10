// What README.md and the documentation show, as it stands there: `HouseTests` compares the lines
// between the marks with those pages.

import BlockIO
import ChunkDB
import EngineTestSupport
import Feed
import Foundation
import Primitives
import StoreTestSupport
import Testing

/// Whether temporary files can be read past the page cache, as stores are unless told not to.
private let hasDirectIO: Bool = {
    var options = DiskOptions()
    options.engine = .threads
    guard
        let disk = try? openDisk(
            directory: FileManager.default.temporaryDirectory.path, create: false, readOnly: true,
            options: options)
    else { return false }
    CallerThread.wait { await disk.shutdown() }
    return true
}()

@Suite("Examples", .enabled(if: hasDirectIO, "no direct I/O where temporary files are"))
struct ExampleTests {
    let binding = oddBinding(layers: 3)
    let chunk = TestChunk(7, tokenCount: 40)
    var tokens: [UInt32] { chunk.tokens }
    var layers: [(keys: [UInt8], values: [UInt8])] { chunk.layers(binding) }

    @Test("the README's ten lines put a chunk and feed it, and find it again")
    func first() async throws {
        let place = TemporaryDirectory()
        for _ in 0..<2 { #expect(try await attended(in: place.path) == [0, 1, 2]) }
    }

    private func attended(in directory: String) async throws -> [Int] {
        let (binding, tokens, layers) = (binding, tokens, layers)
        var attended: [Int] = []
        func attend(_ layer: Int, _ keys: UnsafeRawBufferPointer, _ values: UnsafeRawBufferPointer)
        {
            let isRight = areEqual(Array(keys), layers[layer].keys)
            if isRight && areEqual(Array(values), layers[layer].values) { attended.append(layer) }
        }
        // example:first
        let db = try await ChunkDB.open(at: directory, options: .init(capacity: .gibibytes(20)))
        let acme = try await db.namespace("acme", model: binding)  // one tenant, bound to one model
        let key = acme.key(tokens: tokens)  // the hash of what the chunk is
        if acme.contains(key) == nil {  // never touches the disk
            _ = try await acme.put(key, tokens: tokens, layers: layers)  // durable when it returns
        }
        let feed = try await ChunkFeed.start([FeedItem(acme, key)])  // all chunks of a prompt
        while let layer = try await feed.nextLayer() {  // verified; later layers on their way
            layer.withPlanes(chunk: 0) { keys, values in attend(layer.layer, keys, values) }
        }
        await db.close()
        // end of example
        return attended
    }

    @Test("the catalogue's first page reads a plane")
    func whole() async throws {
        let place = TemporaryDirectory()
        let directory = place.path
        let (binding, tokens) = (binding, tokens)
        let chunk = chunk
        do {
            let db = try await ChunkDB.open(at: directory)
            try await chunk.put(in: try await db.namespace("acme", model: binding))
            await db.close()
        }
        var seen: [[UInt8]] = []
        func attend(_ rows: UnsafeRawBufferPointer) { seen.append(Array(rows)) }
        // example:whole
        let db = try await ChunkDB.open(at: directory, options: .init(capacity: .gibibytes(20)))
        let acme = try await db.namespace("acme", model: binding)
        let key = acme.key(tokens: tokens)
        if let data = try await acme.get(key) {
            data.withPlane(layer: 0, .keys) { rows in attend(rows) }
        }
        await db.close()
        // end of example
        #expect(seen == [layers[0].keys])
    }

    @Test("layers one by one, and a queue for an event loop")
    func layersAndQueue() async throws {
        let place = TemporaryDirectory()
        let (binding, tokens) = (binding, tokens)
        let (keys, values) = (layers.map(\.keys), layers.map(\.values))
        let db = try await ChunkDB.open(at: place.path)
        let acme = try await db.namespace("acme", model: binding)
        let key = acme.key(tokens: tokens)
        let other = acme.key(tokens: [1, 2, 3])
        do {
            // example:layers
            var writer = try await acme.beginPut(key, tokens: tokens)
            for layer in 0..<binding.layerCount {  // while the next one is computed
                try await writer.append(layer: layer, keys: keys[layer], values: values[layer])
            }
            _ = try await writer.commit()  // durable when this returns
            // end of example
        }
        #expect(try await chunk.isIntact(in: acme) == true)
        var answers: [UInt64: Bool] = [:]
        func handle(_ id: UInt64, _ result: Result<QueueCompletion.Answer, StoreError>) {
            switch result {
            case .success(.chunk(let chunk)): answers[id] = chunk != nil
            case .success(.entry(let entry)): answers[id] = entry != nil
            default: Issue.record("\(id): another answer")
            }
        }
        // example:queue
        let queue = try CompletionQueue(limit: 64)
        let accepted = queue.submit([
            QueueRequest(id: 1, acme, .get(key)), QueueRequest(id: 2, acme, .exists(other)),
        ])
        // … poll(queue.descriptor): readable while answers wait
        for completion in queue.drain() { handle(completion.id, completion.result) }
        // end of example
        #expect(accepted == 2)
        while answers.count < 2 {
            await Task.yield()
            for completion in queue.drain() { handle(completion.id, completion.result) }
        }
        #expect(answers == [1: true, 2: false])
        await db.close()
    }
}
