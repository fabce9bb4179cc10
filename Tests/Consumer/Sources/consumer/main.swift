// The README's example as somebody who links the library would write it: only ChunkDB and Feed are
// imported, and everything it needs is in them.

import ChunkDB
import Feed

let binding = ModelBinding(
    name: "two layers", weightsDigest: [UInt8](repeating: 1, count: 32),
    layers: [LayerGeometry](repeating: LayerGeometry(kvHeadCount: 1, headDimension: 64), count: 2),
    elementType: .float32, rotary: RotaryEmbedding(base: 10_000, dimension: 64))
let tokens: [UInt32] = Array(0..<16)
let plane = [UInt8](repeating: 42, count: binding.rowBytes(layer: 0) * tokens.count)

var options = StoreOptions(capacity: .mebibytes(64), segmentSize: .mebibytes(1))
options.disk.buffered = CommandLine.arguments.contains("--buffered")
let db = try await ChunkDB.open(at: CommandLine.arguments[1], options: options)
let acme = try await db.namespace("acme", model: binding)
let key = acme.key(tokens: tokens)
if acme.contains(key) == nil {
    var writer = try await acme.beginPut(key, tokens: tokens)
    for layer in 0..<binding.layerCount {
        try await writer.append(layer: layer, keys: plane, values: plane)
    }
    _ = try await writer.commit()
}
let feed = try await ChunkFeed.start([FeedItem(acme, key)])
var layerCount = 0
while let layer = try await feed.nextLayer() {
    let isRight = layer.withPlanes(chunk: 0) { keys, values in
        keys.elementsEqual(plane) && values.elementsEqual(plane)
    }
    layerCount += isRight ? 1 : 0
}
await db.close()
print("\(layerCount) layers fed")
