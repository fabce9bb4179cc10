import ChunkDB
import Foundation
import KVModel
import Primitives
import Testing

@testable import chunkdb

@Suite("Metadata beyond what every plan needs, in the shell")
struct ShellDetailTests {
    @Test("`show` counts it, `repair` carries it over, and `export` says where keys were rotated")
    func detail() throws {
        let place = try Place()
        let context = PrefixContext(prefix: [key(2)], basePosition: 4)
        let detail = VariantDetail(
            positions: (0..<16).map { UInt32(4 + 3 * $0) }, layerIntra: [1, 0.5, 0.25],
            layerInter: [0, 0.5, 0.75], others: [MetadataSection(kind: 900, bytes: [1])])
        let db = try ChunkDB.openAndWait(at: place.store, options: storeOptions())
        try db.wait { () async throws in
            let acme = try await db.namespace("acme", model: binding("tiny", layers: 3))
            try await acme.put(
                key(1), tokens: tokens(1),
                layers: (0..<3).map {
                    (plane(1, layer: $0, isKeys: true), plane(1, layer: $0, isKeys: false))
                }, context: context, detail: detail)
        }
        db.wait { await db.close() }
        let target = place.path + "/new"
        #expect(place.run(["repair", target]).exit == .fine)
        for store in [place.store, target] {
            let shown = try place.run(["show", "\(key(1))", "--json"], at: store).json
            let variant = try #require((shown["variants"] as? [[String: Any]])?.first)
            let metadata = try #require(variant["metadata"] as? [String: Any])
            #expect(metadata["positionCount"] as? Int == 16)
            #expect(metadata["capturedLayerCount"] as? Int == 3)
            #expect(metadata["unknownSections"] as? [Int] == [900])
            #expect(
                place.run(["show", "\(key(1))"], at: store).output
                    .contains("16 listed positions, 3 captured layers, 1 unknown section"))
        }
        let file = place.path + "/listed.safetensors"
        #expect(place.run(["export", "\(key(1))", file]).exit == .fine)
        let bytes = [UInt8](try #require(FileManager.default.contents(atPath: file)))
        let positions = try Safetensors(parsing: bytes.span).metadata.first {
            $0.name == "positions"
        }
        #expect(
            positions?.value == (0..<16).map { "\(4 + 3 * $0)" }.joined(separator: ","))
        let copy = try ChunkDB.openAndWait(at: target, options: storeOptions())
        let found = try copy.wait { () async throws -> VariantDetail? in
            let acme = try #require(copy.namespace("acme"))
            return try await acme.locate(key(1), variant: context.variantID)?.metadata.detail
        }
        copy.wait { await copy.close() }
        #expect(found == detail)
    }
}
