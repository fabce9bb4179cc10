import ChunkDB
import ChunkFormat
import EngineTestSupport
import KVModel
import Primitives
import Testing

/// The open part of a variant's metadata on its way through the engine.
@Suite("Metadata beyond what every plan needs")
struct DetailTests {
    private static let context = PrefixContext(
        prefix: [.zero, ChunkKey(words: (1, 2, 3, 4))], basePosition: 3)
    /// 16 tokens with a gap, 3 layers behind two chunks.
    private static let detail = VariantDetail(
        positions: (0..<16).map { UInt32(3 + $0 + ($0 > 7 ? 5 : 0)) },
        layerIntra: [0.25, 0.5, 0.75],
        layerInter: [0.5, 0.25, 0.25, 0.25, 0.125, 0.125])
    private static let recompute = RecomputeMetadata(
        prefix: [
            PrefixShare(key: .zero, tokenCount: 2, interMean: 4),
            PrefixShare(key: ChunkKey(words: (1, 2, 3, 4)), tokenCount: 1, interMean: 2),
        ],
        contextImpact: ContextImpact(interMean: 1, intraMean: 2),
        tokenScores: [Float16](repeating: 0.25, count: 16), creationMilliseconds: 3,
        deviceClass: DeviceClass("bench"), parent: .standalone)

    private static func put(
        _ detail: VariantDetail, in space: Namespace, _ context: PrefixContext = Self.context
    ) async throws {
        let chunk = TestChunk(1)
        try await space.put(
            chunk.key(in: space), tokens: chunk.tokens, layers: chunk.layers(space.binding),
            context: context, recompute: context == Self.context ? Self.recompute : nil,
            detail: detail)
    }

    @Test("comes back as it was put, with and without a checkpoint", arguments: [true, false])
    func roundTrip(closes: Bool) throws {
        let place = StorePlace(.simulated(seed: 1))
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding())
            try await Self.put(Self.detail, in: space)
            // The standalone form stands beside it without any.
            try await TestChunk(1).put(in: space)
            if closes { try await db.checkpoint() }
        }
        try place.session { db in
            let space = try #require(db.namespace("acme"))
            let key = TestChunk(1).key(in: space)
            let data = try await space.mustGet(key, variant: Self.context.variantID)
            #expect(data.metadata.detail == Self.detail)
            #expect(data.metadata.recompute == Self.recompute)
            #expect(try await space.mustGet(key).metadata.detail == VariantDetail())
            let located = try #require(
                try await space.locate(key, variant: Self.context.variantID))
            #expect(located.metadata == data.metadata)
        }
    }

    @Test("of consecutive positions no list is kept")
    func consecutive() throws {
        let place = StorePlace(.simulated(seed: 1))
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding())
            try await Self.put(VariantDetail(positions: (3..<19).map { UInt32($0) }), in: space)
            let data = try await space.mustGet(
                TestChunk(1).key(in: space), variant: Self.context.variantID)
            #expect(data.metadata.detail.positions.isEmpty && data.basePosition == 3)
        }
    }

    @Test("a streamed put reserves room for it, and is refused what exceeds that")
    func streamed() throws {
        let place = StorePlace(.simulated(seed: 1))
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding())
            let chunk = TestChunk(7, tokenCount: 900)
            let long = VariantDetail(
                positions: (0..<900).map { UInt32(2 * $0 + 3) }, layerIntra: [1, 1, 1])
            func put(_ room: DetailRoom) async throws -> CommitOutcome {
                var writer = try await space.beginPut(
                    chunk.key(in: space), tokens: chunk.tokens, context: Self.context,
                    detail: room)
                for (layer, planes) in chunk.layers(space.binding).enumerated() {
                    try await writer.append(
                        layer: layer, keys: planes.keys, values: planes.values)
                }
                // Scores fill the room that every put has for them.
                return try await writer.commit(
                    recompute: RecomputeMetadata(
                        prefix: Self.recompute.prefix,
                        tokenScores: [Float16](repeating: 1, count: 900),
                        deviationProfile: [Float16](repeating: 1, count: 900)), detail: long)
            }
            for room in [DetailRoom.none, DetailRoom(layerCount: 3)] {
                let found = await Self.trouble { _ = try await put(room) }
                guard case .shape("metadata", _, _) = found else {
                    Issue.record("\(String(describing: found))")
                    return
                }
            }
            #expect(space.contains(chunk.key(in: space), variant: Self.context.variantID) == nil)
            let room = DetailRoom(listsPositions: true, layerCount: 3)
            #expect(try await put(room) == .committed)
            let data = try await space.mustGet(
                chunk.key(in: space), variant: Self.context.variantID)
            #expect(data.metadata.detail == long)
            let beyond = await Self.trouble { _ = try await put(DetailRoom(layerCount: 4)) }
            guard case .shape("room for detail", _, _) = beyond else {
                Issue.record("\(String(describing: beyond))")
                return
            }
        }
    }

    @Test("what does not fit the chunk or the model is refused")
    func refusals() throws {
        let place = StorePlace(.simulated(seed: 1))
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding())
            let wrong: [(String, (inout VariantDetail) -> Void)] = [
                ("positions", { $0.positions.removeLast() }),
                ("positions", { $0.positions[4] = $0.positions[3] }),
                ("positions", { $0.positions[0] = 2 }),
                ("attention within the chunk", { $0.layerIntra.removeLast() }),
                ("attention to the prefix", { $0.layerInter.removeLast() }),
                ("other sections", { $0.others = [MetadataSection(kind: 3, bytes: [1])] }),
                (
                    "other sections",
                    {
                        $0.others = [UInt16](repeating: 77, count: 2)
                            .map { MetadataSection(kind: $0, bytes: []) }
                    }
                ),
            ]
            for (what, change) in wrong {
                var detail = Self.detail
                change(&detail)
                let found = await Self.trouble { try await Self.put(detail, in: space) }
                guard case .shape(what, _, _) = found else {
                    Issue.record("\(what): \(String(describing: found))")
                    continue
                }
            }
            #expect(space.entryCount == 0)
            var foreign = Self.detail
            foreign.others = [MetadataSection(kind: 900, bytes: [1, 2, 3])]
            try await Self.put(foreign, in: space)
            let data = try await space.mustGet(
                TestChunk(1).key(in: space), variant: Self.context.variantID)
            #expect(data.metadata.detail == foreign, "a copy keeps what it does not know")
        }
    }

    @Test("a batch takes it too")
    func batch() throws {
        let place = StorePlace(.simulated(seed: 1))
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding())
            let chunk = TestChunk(1)
            var writer = try await space.beginPut(
                chunk.key(in: space), tokens: chunk.tokens, context: Self.context,
                detail: DetailRoom(for: Self.detail, prefixCount: 2))
            for (layer, planes) in chunk.layers(space.binding).enumerated() {
                try await writer.append(layer: layer, keys: planes.keys, values: planes.values)
            }
            var batch = db.batch()
            try batch.put(writer, detail: Self.detail)
            #expect(try await batch.commit() == [.committed])
            let data = try await space.mustGet(
                chunk.key(in: space), variant: Self.context.variantID)
            #expect(data.metadata.detail == Self.detail)
        }
    }

    private static func trouble(_ body: () async throws -> Void) async -> StoreError? {
        do {
            try await body()
            return nil
        } catch {
            return error as? StoreError
        }
    }
}
