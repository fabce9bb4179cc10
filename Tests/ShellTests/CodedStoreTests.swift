// The shell on coded planes and sidecars: shown as they stand, handed out as they were put.

import ChunkDB
import Foundation
import KVModel
import Primitives
import Testing

@testable import chunkdb

@Suite("Coded planes and sidecars in the shell")
struct CodedStoreTests {
    private static let tokens = (0..<64 as Range<UInt32>).map { $0 * 7 }
    private static let chunkKey = ChunkKey(tokens: tokens, binding: binding("tiny", layers: 2))

    /// 64 rows, four blocks of 4 KiB: floats of like size.
    private static func rows(_ layer: Int, _ isKeys: Bool) -> [UInt8] {
        (0..<64 * 64).flatMap { index in
            let mixed = UInt32(truncatingIfNeeded: index &* 2_654_435_761) >> 10
            let value = (1 + Float(mixed) / 4_194_304) * (isKeys ? 1 : -1) * Float(layer + 1)
            return (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) }
        }
    }

    private static let sidecars = (0..<2).map {
        Sidecar(layer: $0, type: 11, bytes: [UInt8](repeating: UInt8($0 + 1), count: 333))
    }

    private func makeStore(_ place: Place) throws {
        let db = try ChunkDB.openAndWait(at: place.store, options: storeOptions())
        defer { db.wait { await db.close() } }
        try db.wait { () async throws in
            let acme = try await db.namespace("acme", model: binding("tiny", layers: 2))
            try await acme.put(
                Self.chunkKey, tokens: Self.tokens,
                layers: (0..<2).map { (Self.rows($0, true), Self.rows($0, false)) },
                detail: VariantDetail(layerIntra: [0.5, 0.25]), codec: .bytePlanesLZ4,
                sidecars: Self.sidecars)
            try await put(2, in: acme)
        }
    }

    /// That a store has the chunk as it was put, in the same form.
    private func expectWhole(_ store: String) throws {
        let db = try ChunkDB.openAndWait(at: store, options: storeOptions())
        defer { db.wait { await db.close() } }
        try db.wait { () async throws in
            let acme = try #require(db.namespace("acme"))
            let located = try #require(try await acme.locate(Self.chunkKey))
            #expect(!located.extents.contains { !$0.isCoded })
            #expect(located.metadata.detail.layerIntra == [0.5, 0.25])
            guard let data = try await acme.get(Self.chunkKey) else {
                Issue.record("the chunk is gone")
                return
            }
            for layer in 0..<2 {
                #expect(data.plane(layer: layer, .keys) == Self.rows(layer, true))
                #expect(data.plane(layer: layer, .values) == Self.rows(layer, false))
            }
            #expect(try await acme.sidecars([SidecarRequest(Self.chunkKey)]) == [Self.sidecars])
        }
    }

    @Test("`show`, `hexdump` and `verify` say what there is")
    func shown() throws {
        let place = try Place()
        try makeStore(place)
        let text = place.run(["show", "\(Self.chunkKey)"]).output
        #expect(text.contains("planes+LZ4") && text.contains("sidecar 11"))
        // Two records, of a layer each.
        let shown = try place.run(["show", "\(Self.chunkKey)", "--json"]).json
        let variant = try #require((shown["variants"] as? [[String: Any]])?.first)
        let extents = try #require(variant["extents"] as? [[String: Any]])
        #expect(extents.map { $0["codec"] as? Int } == [1, 1, 0, 1, 1, 0])
        #expect(
            extents.map { $0["rawBytes"] as? Int } == [16_384, 16_384, 333, 16_384, 16_384, 333])
        #expect(extents.allSatisfy { ($0["storedBytes"] as? Int ?? .max) < 16_384 })
        let dump = place.run(["hexdump", "\(Self.chunkKey)"])
        #expect(dump.exit == .fine && dump.output.contains("byte planes, LZ4"))
        #expect(!dump.output.contains("✗"))
        #expect(place.run(["verify"]).exit == .fine)
    }

    @Test("`export` decodes, and has sidecars as tensors of their own")
    func exported() throws {
        let place = try Place()
        try makeStore(place)
        let file = place.path + "/chunk.safetensors"
        #expect(place.run(["export", "\(Self.chunkKey)", file]).exit == .fine)
        let bytes = [UInt8](try #require(FileManager.default.contents(atPath: file)))
        let tensors = try Safetensors(parsing: bytes.span)
        for layer in 0..<2 {
            for (letter, isKeys) in [("k", true), ("v", false)] {
                let tensor = try #require(tensors["layers.\(layer).\(letter)"])
                #expect(tensor.shape == [64, 1, 64])
                #expect(Array(bytes[tensor.fileRange]) == Self.rows(layer, isKeys))
            }
            let tensor = try #require(tensors["layers.\(layer).sidecar.11"])
            #expect(Array(bytes[tensor.fileRange]) == Self.sidecars[layer].bytes)
        }
    }

    @Test("`dump` and `load`, and `repair`, keep bytes, sidecars and form")
    func moved() throws {
        let place = try Place()
        try makeStore(place)
        try expectWhole(place.store)
        #expect(place.run(["dump", "acme", place.path + "/dumped"]).exit == .fine)
        #expect(place.run(["repair", place.path + "/repaired"]).exit == .fine)
        try expectWhole(place.path + "/repaired")
        let empty = try ChunkDB.openAndWait(at: place.path + "/loaded", options: storeOptions())
        empty.wait { await empty.close() }
        let load = place.run(
            ["load", place.path + "/dumped", "--yes"], at: place.path + "/loaded")
        #expect(load.exit == .fine, "\(load.errors)")
        try expectWhole(place.path + "/loaded")
    }

    @Test("`verify` finds a sidecar's flipped byte, and what the others still give is whole")
    func damaged() throws {
        let place = try Place()
        try makeStore(place)
        let shown = try place.run(["show", "\(Self.chunkKey)", "--json"]).json
        let variant = try #require((shown["variants"] as? [[String: Any]])?.first)
        let extents = try #require(variant["extents"] as? [[String: Any]])
        let records = try #require(variant["records"] as? [[String: Any]])
        let file = try #require(records.last?["file"] as? String)
        let offset = try #require(extents[5]["fileOffset"] as? UInt64)
        try place.overwrite(file, at: offset + 3, with: [0xAA])
        let found = place.run(["verify"])
        #expect(found.exit == .damageFound && found.output.contains("DIG-2"))
        #expect(
            place.run(["export", "\(key(2, binding("tiny", layers: 2)))", place.path + "/other"])
                .exit == .fine)
    }
}
