// Chunks whose planes are stored as byte planes: the same answers as of raw ones, on fewer bytes.

import BlockIO
import ChunkFormat
import Codecs
import EngineTestSupport
import KVModel
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@testable import ChunkDB

@Suite("Coded chunks")
struct CodecTests {
    private static let binding = smallBinding(layers: 3)

    @Test(
        "EXT-9 give the bytes that were put, whole or in part, raw or coded",
        arguments: 0..<24 as Range<UInt64>)
    func reads(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let tokenCount = [1, 15, 16, 17, 64, 100, 300].randomElement(using: &generator)!
        let place = StorePlace(seed % 6 == 5 ? .real(.threads) : .simulated(seed: seed))
        place.options.digestBlockShift = [12, 13, 16].randomElement(using: &generator)!
        let codec = PlaneCodec.allCases.randomElement(using: &generator)!
        let binding = seed % 2 == 0 ? Self.binding : oddBinding(layers: 3)
        let chunk = TestChunk(seed, tokenCount: tokenCount, isRegular: seed % 3 > 0)
        let ranges = (0..<12).map { _ in
            let layers = [0, 1, 2, 3].shuffled(using: &generator).prefix(2).sorted()
            let tokens = (0..<2).map { _ in Int.random(in: 0...tokenCount, using: &generator) }
                .sorted()
            return (layers: layers[0]..<layers[1], tokens: tokens[0]..<tokens[1])
        }
        for session in 0..<2 {
            try place.session { db in
                let space = try await db.namespace("acme", model: binding)
                if session == 0 { try await chunk.put(in: space, codec: codec) }
                #expect(try await chunk.isIntact(in: space) == true)
                let planes = chunk.layers(binding)
                var buffer = space.disk.makeReadBuffer(byteCount: 1 << 20)
                for (layers, tokens) in ranges {
                    let key = chunk.key(in: space)
                    let data = try await space.mustGet(key, layers: layers, tokens: tokens)
                    let map = try #require(
                        try await space.read(key, layers: layers, tokens: tokens, into: &buffer))
                    for layer in layers {
                        let row = binding.rowBytes(layer: layer)
                        let range = tokens.lowerBound * row..<tokens.upperBound * row
                        for kind in [ExtentKind.keys, .values] {
                            let whole = kind == .keys ? planes[layer].keys : planes[layer].values
                            let found = data.plane(layer: layer, kind)
                            #expect(areEqual(found, Array(whole[range])))
                            let at = try #require(map.byteRange(layer: layer, kind))
                            #expect(buffer.withBytes { Array($0[at]) } == Array(whole[range]))
                        }
                    }
                }
            }
        }
    }

    @Test("take the disk they are stored on, in the quota, the budget and the listing")
    func accounting() throws {
        try StorePlace(.simulated(seed: 3)).session { db in
            let space = try await db.namespace("acme", model: Self.binding)
            var diskBytes: [PlaneCodec: UInt64] = [:]
            for (number, codec) in PlaneCodec.allCases.enumerated() {
                let chunk = TestChunk(UInt64(number), tokenCount: 256, isRegular: true)
                let before = space.statistics.storedBytes
                try await chunk.put(in: space, codec: codec)
                let entry = try #require(space.contains(chunk.key(in: space)))
                diskBytes[codec] = space.statistics.storedBytes - before
                #expect(entry.diskBytes == diskBytes[codec])
            }
            // A quarter of 6 × 64 KiB repeats, and LZ4 leaves little of it.
            let (raw, coded) = (diskBytes[.raw]!, diskBytes[.bytePlanesLZ4]!)
            #expect(raw > 6 << 16 && coded < raw * 5 / 6 && coded > raw * 7 / 10)
            #expect(diskBytes[.measured] == coded)
        }
    }

    @Test("that would not gain an eighth of the disk stay raw, if the gain is measured")
    func measured() throws {
        try StorePlace(.simulated(seed: 4)).session { db in
            let space = try await db.namespace("acme", model: Self.binding)
            // Random bytes; regular ones that fill no second unit; regular ones that do.
            for (number, count, isRegular, isCoded) in [
                (1, 256, false, false), (2, 16, true, false), (3, 256, true, true),
            ] as [(UInt64, Int, Bool, Bool)] {
                let chunk = TestChunk(number, tokenCount: count, isRegular: isRegular)
                try await chunk.put(in: space, codec: .measured)
                let located = try #require(try await space.locate(chunk.key(in: space)))
                #expect(located.extents.allSatisfy { $0.isCoded == isCoded }, "\(number)")
                #expect(try await chunk.isIntact(in: space) == true)
            }
        }
    }

    @Test("are what the namespace's options say, if a put does not; streamed puts are raw")
    func byDefault() throws {
        let place = StorePlace(.simulated(seed: 5))
        var options = NamespaceOptions()
        options.codec = .bytePlanesLZ4
        place.options.namespaces = ["acme": options]
        try place.session { db in
            let space = try await db.namespace("acme", model: Self.binding)
            let chunks = (1...3).map { TestChunk($0, tokenCount: 64, isRegular: true) }
            try await chunks[0].put(in: space)
            try await chunks[1].put(in: space, codec: .raw)
            var writer = try await space.beginPut(
                chunks[2].key(in: space), tokens: chunks[2].tokens)
            for (layer, planes) in chunks[2].layers(Self.binding).enumerated() {
                try await writer.append(layer: layer, keys: planes.keys, values: planes.values)
            }
            _ = try await writer.commit()
            for (chunk, isCoded) in zip(chunks, [true, false, false]) {
                let located = try #require(try await space.locate(chunk.key(in: space)))
                #expect(located.extents.allSatisfy { $0.isCoded == isCoded })
                #expect(try await chunk.isIntact(in: space) == true)
            }
        }
    }

    @Test("N-2 say any flipped byte of a coded plane, and hand nothing over")
    func flips() throws {
        let place = StorePlace(.simulated(seed: 6))
        let chunk = TestChunk(1, tokenCount: 33, isRegular: true)
        let (first, last) = try place.session { db in
            let space = try await db.namespace("acme", model: Self.binding)
            try await chunk.put(in: space, codec: .bytePlanesLZ4)
            let located = try #require(try await space.locate(chunk.key(in: space)))
            let extent = try #require(located.extent(layer: 1, .keys))
            return (Int(extent.fileOffset), Int(extent.fileOffset) + extent.paddedBytes)
        }
        let segment = StoreFiles.segment(SegmentID(0))
        for byte in stride(from: first, to: last, by: 97) {
            try #require(place.machine).disk.flip(segment, byte: byte, bit: byte % 8)
            try place.session { db in
                let space = try #require(db.namespace("acme"))
                do throws(StoreError) {
                    _ = try await space.get(chunk.key(in: space))
                    Issue.record("byte \(byte): handed over")
                } catch {
                    guard case .damaged(let facts) = error else { throw error }
                    #expect(facts.cause.clause == "DIG-2")
                }
                // Other layers do not meet it.
                #expect(try await space.get(chunk.key(in: space), layers: 0..<1) != nil)
                // Unverified, the bytes are anything, or do not decode.
                do throws(StoreError) {
                    _ = try await space.get(chunk.key(in: space), verification: .unverified)
                } catch {
                    guard case .damaged(let facts) = error else { throw error }
                    #expect(facts.cause.clause.hasPrefix("COD-"))
                }
            }
            try #require(place.machine).disk.flip(segment, byte: byte, bit: byte % 8)
        }
    }

    /// What a hostile writer may store: sealed and digested well, and no encoding.
    @Test("COD-8 N-8 bytes that agree with their digests and do not decode are damage")
    func malformed() throws {
        let place = StorePlace(.simulated(seed: 7))
        let chunk = TestChunk(1, tokenCount: 48, isRegular: true)
        let rawBytes = 48 * 256
        let form = BytePlanes(.float32, blockShift: 12)
        let good = form.encode(chunk.layers(Self.binding)[0].keys)
        var generator = SeededGenerator(seed: 7)
        var hostile: [[UInt8]] = [
            [0], [UInt8](repeating: 0, count: rawBytes / 255), good + [0], Array(good.dropLast()),
            [UInt8](repeating: 0xFF, count: 48 + rawBytes),
            // LZ4 of too much: lengths that go on and on.
            (0..<12).flatMap { _ in [8, 0, 0, 0] as [UInt8] }
                + (0..<12).flatMap { _ in [0x1F, 0, 1, 0, 255, 255, 255, 255] as [UInt8] },
        ]
        for _ in 0..<40 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let at = Int.random(in: 0..<min(bytes.count, 400), using: &generator)
                bytes[at] = UInt8.random(in: 0...255, using: &generator)
            }
            hostile.append(bytes)
        }
        let forms = try [0x0C04, 0x1004, 0x0C02, 0x1401].map {
            try BytePlanes(parameters: $0, rawBytes: 4, storedBytes: 4)
        }
        let all = hostile
        try place.session { db in
            let space = try await db.namespace("acme", model: Self.binding)
            let key = chunk.key(in: space)
            var damageCount = 0
            for (number, bytes) in all.enumerated() {
                let planes = StoredPlanes(
                    form: forms[number < 6 ? 0 : number % 4],
                    layers: [(bytes, good), (good, good), (good, good)])
                var writer = try await space.beginPut(
                    key, tokens: chunk.tokens, context: .standalone, domain: .standalone,
                    detail: .none, pinned: false, replacing: true, timeToLive: nil, sidecars: [],
                    planes: planes)
                for (layer, planes) in planes.layers.enumerated() {
                    try await writer.appendStored(
                        layer: layer, keys: planes.keys, values: planes.values)
                }
                _ = try await writer.commit()
                do throws(StoreError) {
                    // What decodes is as long as it has to be.
                    let data = try await space.get(key, layers: 0..<1)
                    #expect(data?.plane(layer: 0, .keys).count == rawBytes)
                } catch {
                    guard case .damaged(let facts) = error else { throw error }
                    #expect(facts.cause.clause.hasPrefix("COD-"), "\(facts)")
                    damageCount += 1
                }
            }
            #expect(damageCount >= 20)
        }
    }
}
