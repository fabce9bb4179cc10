import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import KVModel
import Primitives
import Testing

@Suite("Puts and gets")
struct PutGetTests {
    @Test("a streamed put reads back as a put in one call does", arguments: PlaceKind.all)
    func streamed(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        let chunk = TestChunk(5, tokenCount: 33)
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding())
            var writer = try await space.beginPut(chunk.key(in: space), tokens: chunk.tokens)
            for (layer, planes) in chunk.layers(space.binding).enumerated() {
                #expect(space.contains(chunk.key(in: space)) == nil)
                try await writer.append(layer: layer, keys: planes.keys, values: planes.values)
            }
            #expect(try await writer.commit() == .committed)
            #expect(try await chunk.isIntact(in: space) == true)
        }
        try place.session { db in
            let space = try #require(db.namespace("acme"))
            #expect(try await chunk.isIntact(in: space) == true)
            #expect(db.recovery.checkpointIgnored == nil)
        }
    }

    @Test(
        "DIG-1 DIG-2 EXT-7 every range of layers and tokens is the model's slice",
        arguments: PlaceKind.all)
    func ranges(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        try place.session { db in
            let space = try await db.namespace("acme", model: oddBinding())
            // 13,500 bytes a plane: four blocks of the digest grid, the last one padded.
            let chunk = TestChunk(7, tokenCount: 45)
            try await chunk.put(in: space)
            let layers = chunk.layers(space.binding)
            let edges = [0, 1, 13, 14, 27, 28, 44, 45]
            for lower in edges {
                for upper in edges where upper >= lower {
                    let data = try await space.mustGet(
                        chunk.key(in: space), tokens: lower..<upper)
                    for layer in 0..<2 {
                        #expect(
                            data.plane(layer: layer, .keys)
                                == Array(layers[layer].keys[lower * 300..<upper * 300]))
                        #expect(
                            data.plane(layer: layer, .values)
                                == Array(layers[layer].values[lower * 300..<upper * 300]))
                    }
                }
            }
            for layerRange in [0..<0, 0..<1, 1..<2, 2..<2, 0..<2] {
                let data = try await space.mustGet(
                    chunk.key(in: space), layers: layerRange, tokens: 20..<30)
                for layer in layerRange {
                    #expect(
                        data.plane(layer: layer, .values)
                            == Array(layers[layer].values[6_000..<9_000]))
                }
            }
            for wrong in [0..<46, 46..<46] {
                await #expect(throws: StoreError.self) {
                    _ = try await space.get(chunk.key(in: space), tokens: wrong)
                }
            }
            await #expect(throws: StoreError.self) {
                _ = try await space.get(chunk.key(in: space), layers: 1..<3)
            }
        }
    }

    @Test(
        "IDY-6 variants of one chunk live side by side and go alone or together",
        arguments: PlaceKind.all)
    func variants(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        let chunk = TestChunk(1)
        let contexts = [
            PrefixContext.standalone, PrefixContext(prefix: [.zero], basePosition: 16),
            PrefixContext(prefix: [.zero], basePosition: 32),
        ]
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding())
            let key = chunk.key(in: space)
            for (index, context) in contexts.enumerated() {
                // The same tokens, other bytes: each variant is told apart by its planes.
                let planes = TestChunk(UInt64(100 + index)).layers(space.binding)
                let outcome = try await space.put(
                    key, tokens: chunk.tokens, layers: planes, context: context)
                #expect(outcome == .committed)
            }
            #expect(Set(space.variants(of: key).map(\.variant)) == Set(contexts.map(\.variantID)))
        }
        try place.session { db in
            let space = try #require(db.namespace("acme"))
            let key = chunk.key(in: space)
            for (index, context) in contexts.enumerated() {
                let data = try await space.mustGet(key, variant: context.variantID)
                let expected = TestChunk(UInt64(100 + index)).layers(space.binding)
                #expect(data.plane(layer: 2, .keys) == expected[2].keys)
                #expect(data.basePosition == context.basePosition)
            }
            try await space.remove(key, variant: contexts[1].variantID)
            #expect(space.contains(key, variant: contexts[1].variantID) == nil)
            #expect(space.variants(of: key).count == 2)
            try await space.remove(key)
            #expect(space.variants(of: key).isEmpty)
            // A removed variant can be put again.
            try await chunk.put(in: space)
            #expect(try await chunk.isIntact(in: space) == true)
        }
        try place.session { db in
            let space = try #require(db.namespace("acme"))
            #expect(space.variants(of: chunk.key(in: space)).map(\.variant) == [.standalone])
            #expect(try await chunk.isIntact(in: space) == true)
        }
    }

    @Test(
        "COM-6 COM-10 REC-10 a variant larger than a segment spans several and appears as one",
        arguments: PlaceKind.all)
    func multiRecord(kind: PlaceKind) throws {
        let options = StoreOptions(
            capacity: .mebibytes(16), segmentSize: .kibibytes(128), digestBlockShift: 12)
        let place = StorePlace(kind, options: options)
        let chunks = (0..<3 as Range<UInt64>).map { TestChunk($0, tokenCount: 48) }
        try place.session { db in
            // 24 KiB a layer: four layers fit a segment of 128 KiB.
            let space = try await db.namespace("acme", model: smallBinding(layers: 10))
            for chunk in chunks {
                try await chunk.put(in: space)
                #expect(try await chunk.isIntact(in: space) == true)
            }
            #expect(await db.logCounters().segmentCount >= 6)
        }
        try place.session { db in
            let space = try #require(db.namespace("acme"))
            for chunk in chunks { #expect(try await chunk.isIntact(in: space) == true) }
            let chunk = chunks[1]
            let data = try await space.mustGet(
                chunk.key(in: space), layers: 5..<9, tokens: 7..<31)
            let layers = chunk.layers(space.binding)
            for layer in 5..<9 {
                #expect(
                    data.plane(layer: layer, .keys)
                        == Array(layers[layer].keys[7 * 256..<31 * 256]))
            }
            #expect(space.contains(chunk.key(in: space))!.diskBytes > 240 << 10)
        }
    }

    @Test("namespaces keep equal keys apart, and a rebinding is refused", arguments: PlaceKind.all)
    func namespaces(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        let chunk = TestChunk(1)
        try place.session { db in
            for (index, name) in ["a", "b", "ü/..\0 "].enumerated() {
                let space = try await db.namespace(name, model: smallBinding())
                let planes = TestChunk(UInt64(50 + index)).layers(space.binding)
                try await space.put(chunk.key(in: space), tokens: chunk.tokens, layers: planes)
            }
            #expect(db.namespaces.map(\.name) == ["a", "b", "ü/..\0 "])
        }
        try place.session { db in
            #expect(db.namespaces.map(\.name) == ["a", "b", "ü/..\0 "])
            for (index, space) in db.namespaces.enumerated() {
                let data = try await space.mustGet(chunk.key(in: space))
                let expected = TestChunk(UInt64(50 + index)).layers(space.binding)
                #expect(data.plane(layer: 0, .keys) == expected[0].keys)
            }
            await #expect(
                throws: StoreError.bindingMismatch(namespace: "a", expected: "tiny", found: "odd")
            ) {
                _ = try await db.namespace("a", model: oddBinding())
            }
            // A name for people is no part of the identity.
            _ = try await db.namespace("a", model: smallBinding(name: "renamed"))
            try await db.namespaces[0].remove(chunk.key(in: db.namespaces[0]))
            #expect(try await !db.namespaces[0].canGet(chunk.key(in: db.namespaces[0])))
            #expect(try await db.namespaces[1].canGet(chunk.key(in: db.namespaces[1])))
        }
    }

    @Test("IDY-5 entries come in byte order, and by prefix")
    func iteration() throws {
        let place = StorePlace(.simulated(seed: 3))
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 1))
            var keys: [ChunkKey] = []
            for number in 0..<12 as Range<UInt8> {
                var bytes = [UInt8](repeating: 0, count: 32)
                bytes[0] = number / 4 * 60
                bytes[1] = 255 - number
                let key = ChunkKey(bytes: bytes)!
                let chunk = TestChunk(UInt64(number))
                try await space.put(key, tokens: chunk.tokens, layers: chunk.layers(space.binding))
                keys.append(key)
            }
            var found: [ChunkKey] = []
            space.forEachEntry { entry in
                found.append(entry.key)
                return true
            }
            #expect(found == keys.sorted())
            found = []
            space.forEachEntry(prefix: [60]) { entry in
                found.append(entry.key)
                return found.count < 3
            }
            #expect(found == Array(keys.sorted().filter { $0.bytes[0] == 60 }.prefix(3)))
            space.forEachEntry(prefix: [UInt8](repeating: 0, count: 33)) { _ in
                Issue.record("no key begins with 33 bytes")
                return false
            }
            #expect(space.entryCount == 12)
        }
    }

    @Test(
        "a present key is not written again, also when two puts of it run at once",
        arguments: PlaceKind.all)
    func alreadyPresent(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding())
            let chunk = TestChunk(1)
            let outcomes = try await withThrowingTaskGroup { group in
                for _ in 0..<4 { group.addTask { try await chunk.put(in: space) } }
                var outcomes: [CommitOutcome] = []
                for try await outcome in group { outcomes.append(outcome) }
                return outcomes
            }
            #expect(outcomes.count { $0 == .committed } == 1)
            let written = db.diskCounters.writtenBytes
            #expect(try await chunk.put(in: space) == .alreadyPresent)
            #expect(db.diskCounters.writtenBytes == written)
            #expect(try await chunk.isIntact(in: space) == true)
            #expect(space.entryCount == 1)
        }
    }

    @Test("an abandoned put leaves nothing to be found, and the key free", arguments: PlaceKind.all)
    func abandoned(kind: PlaceKind) throws {
        let place = StorePlace(kind)
        let chunk = TestChunk(1)
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding())
            let planes = chunk.layers(space.binding)[0]
            do {
                var writer = try await space.beginPut(chunk.key(in: space), tokens: chunk.tokens)
                try await writer.append(layer: 0, keys: planes.keys, values: planes.values)
            }
            #expect(space.contains(chunk.key(in: space)) == nil)
            try await TestChunk(2).put(in: space)
        }
        try place.session { db in
            let space = try #require(db.namespace("acme"))
            #expect(space.contains(chunk.key(in: space)) == nil)
            #expect(try await TestChunk(2).isIntact(in: space) == true)
            try await chunk.put(in: space)
            #expect(try await chunk.isIntact(in: space) == true)
            #expect(db.recovery.damages.isEmpty)
        }
    }
}
