import BlockIO
import ChunkDB
import ChunkFormat
import EngineTestSupport
import Foundation
import KVModel
import Primitives
import SegmentLog
import StoreTestSupport
import Testing

@Suite("Bad input at the face of the engine")
struct BadInputTests {
    private func trouble(
        _ body: () async throws -> Void
    ) async -> StoreError? {
        do {
            try await body()
            return nil
        } catch {
            return error as? StoreError
        }
    }

    @Test("DIR-1 a path without a store, a missing path and a file are told apart, by name")
    func paths() throws {
        let directory = TemporaryDirectory()
        try FileManager.default.createDirectory(
            atPath: directory.path + "/empty", withIntermediateDirectories: true)
        try Data("hello".utf8).write(to: URL(filePath: directory.path + "/file"))
        var options = StoreOptions(capacity: .mebibytes(16), createsIfMissing: false)
        options.disk.engine = .threads
        for (path, expected) in [("/empty", "no store here"), ("/none", "none"), ("/file", "file")]
        {
            do {
                _ = try ChunkDB.openAndWait(at: directory.path + path, options: options)
                Issue.record("\(path) opened")
            } catch {
                #expect("\(error)".contains(expected), "\(error)")
                #expect("\(error)".contains(directory.path), "\(error)")
            }
        }
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: directory.path + "/empty").isEmpty)
        // A store that lost its superblock is no empty directory, and nothing is put over it.
        options.createsIfMissing = true
        let lost = directory.path + "/lost"
        let db = try ChunkDB.openAndWait(at: lost, options: options)
        try db.wait { () async throws in
            let space = try await db.namespace("a", model: smallBinding())
            try await TestChunk(1).put(in: space)
            await db.close()
        }
        try FileManager.default.removeItem(atPath: lost + "/superblock")
        do {
            _ = try ChunkDB.openAndWait(at: lost, options: options)
            Issue.record("a store was made over the remains of another")
        } catch {
            guard case .log(.alreadyExists) = error else {
                Issue.record("\(error)")
                return
            }
        }
    }

    @Test("options that no store can have are refused")
    func options() throws {
        let wrong: [(inout StoreOptions) -> Void] = [
            { $0.digestBlockShift = 11 }, { $0.digestBlockShift = 21 },
            { $0.digestBlockShift = 255 },
            { $0.segmentSize = .kibibytes(32) }, { $0.segmentSize = .bytes(65_537) },
            { $0.segmentSize = .gibibytes(5) }, { $0.capacity = .kibibytes(100) },
        ]
        for change in wrong {
            var machine = SimulatedMachine(seed: 1)
            change(&machine.options)
            #expect { try machine.open() } throws: { error in
                if case StoreError.log(.unsupported) = error { true } else { false }
            }
        }
    }

    @Test("a put of another shape than its binding is refused, each way, and nothing is stored")
    func shapes() throws {
        let place = StorePlace(.simulated(seed: 1))
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 2))
            let chunk = TestChunk(1)
            let key = chunk.key(in: space)
            let good = chunk.layers(space.binding)
            func isShape(_ error: StoreError?) -> Bool {
                if case .shape = error { true } else { false }
            }
            let short = [(keys: Array(good[0].keys.dropLast()), values: good[0].values), good[1]]
            let long = [good[0], (keys: good[1].keys, values: good[1].values + [0])]
            for layers in [[], [good[0]], good + [good[0]], short, long] {
                let found = await trouble {
                    try await space.put(key, tokens: chunk.tokens, layers: layers)
                }
                #expect(isShape(found), "\(layers.count) layers: \(String(describing: found))")
            }
            #expect(isShape(await trouble { try await space.put(key, tokens: [], layers: good) }))
            let none = [UInt8]()
            #expect(
                isShape(
                    await trouble {
                        try await space.put(key, tokens: [], layers: [(none, none), (none, none)])
                    }))
            let tooMany = [UInt32](repeating: 0, count: PayloadRecord.tokenCountMax + 1)
            #expect(isShape(await trouble { _ = try await space.beginPut(key, tokens: tooMany) }))
            let prefix = [ChunkKey](repeating: .zero, count: 4_097)
            for context in [
                PrefixContext(prefix: prefix, basePosition: 0),
                PrefixContext(prefix: [], basePosition: -1),
                PrefixContext(prefix: [], basePosition: 1 << 32),
            ] {
                #expect(
                    isShape(
                        await trouble {
                            _ = try await space.beginPut(
                                key, tokens: chunk.tokens, context: context)
                        }))
            }
            // Streaming: order, sizes, too few, too many; a refusal takes nothing.
            var writer = try await space.beginPut(key, tokens: chunk.tokens)
            for layer in [1, -1, 7] {
                await #expect(throws: StoreError.self) {
                    try await Self.append(&writer, layer, good[0])
                }
            }
            await #expect(throws: StoreError.self) { try await Self.append(&writer, 0, short[0]) }
            try await writer.append(layer: 0, keys: good[0].keys, values: good[0].values)
            #expect(space.contains(key) == nil)
            try await writer.append(layer: 1, keys: good[1].keys, values: good[1].values)
            await #expect(throws: StoreError.self) { try await Self.append(&writer, 2, good[1]) }
            #expect(try await writer.commit() == .committed)
            #expect(try await chunk.isIntact(in: space) == true)
            let early = try await space.beginPut(TestChunk(2).key(in: space), tokens: chunk.tokens)
            do {
                _ = try await early.commit()
                Issue.record("committed without layers")
            } catch StoreError.shape {}
            #expect(space.entryCount == 1)
        }
    }

    private static func append(
        _ writer: inout ChunkWriter, _ layer: Int, _ planes: (keys: [UInt8], values: [UInt8])
    ) async throws {
        try await writer.append(layer: layer, keys: planes.keys, values: planes.values)
    }

    @Test("metadata that does not fit its chunk is refused")
    func metadata() throws {
        let place = StorePlace(.simulated(seed: 1))
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding(layers: 1))
            let chunk = TestChunk(1)
            let layers = chunk.layers(space.binding)
            let context = PrefixContext(prefix: [.zero], basePosition: 4)
            let wrong = [
                RecomputeMetadata(prefix: [PrefixShare(key: .zero, tokenCount: -1)]),
                RecomputeMetadata(prefix: [PrefixShare(key: .zero, tokenCount: 1 << 33)]),
                RecomputeMetadata(prefix: [
                    PrefixShare(key: .zero, tokenCount: 1), PrefixShare(key: .zero, tokenCount: 1),
                ]),
                RecomputeMetadata(tokenScores: [1, 2]),
                RecomputeMetadata(deviationProfile: [1]),
            ]
            for recompute in wrong {
                let found = await trouble {
                    try await space.put(
                        chunk.key(in: space), tokens: chunk.tokens, layers: layers,
                        context: context, recompute: recompute)
                }
                guard case .shape = found else {
                    Issue.record("\(String(describing: found))")
                    continue
                }
            }
            let right = RecomputeMetadata(
                prefix: [PrefixShare(key: .zero, tokenCount: 4, interMean: 0.5)],
                contextImpact: ContextImpact(interMean: 1, intraMean: 2),
                tokenScores: [Float16](repeating: 0.25, count: 16),
                deviationProfile: [Float16](repeating: 0.5, count: 16), creationMilliseconds: 3)
            try await space.put(
                chunk.key(in: space), tokens: chunk.tokens, layers: layers, context: context,
                recompute: right)
            let data = try await space.mustGet(
                chunk.key(in: space), variant: context.variantID)
            #expect(data.metadata.recompute == right)
        }
    }

    @Test("absurd bindings and names are refused")
    func bindings() throws {
        let place = StorePlace(.simulated(seed: 1))
        try place.session { db in
            let good = smallBinding()
            let wrong: [(inout ModelBinding) -> Void] = [
                { $0.layers = [] }, { $0.weightsDigest = [1] },
                { $0.layers = Array(repeating: $0.layers[0], count: 1_025) },
                { $0.layers[1].kvHeadCount = 0 }, { $0.layers[1].headDimension = -4 },
                { $0.layers[0].kvHeadCount = .max }, { $0.rotary.dimension = 63 },
                { $0.rotary.dimension = -2 }, { $0.rotary.base = .nan }, { $0.rotary.base = 0 },
                { $0.tensorParallelRank = 1 }, { $0.tensorParallelSize = 0 },
                { $0.layers[0].windowTokenCount = 0 }, { $0.layers[0].windowTokenCount = 1 << 40 },
                { $0.calibration = BlendCalibration(checkLayer: -1, tensor: .values) },
                { $0.calibration = BlendCalibration(checkLayer: 70_000, tensor: .values) },
                { $0.name = String(repeating: "x", count: 256) },
            ]
            for (index, change) in wrong.enumerated() {
                var binding = good
                change(&binding)
                let absurd = binding
                let found = await trouble { _ = try await db.namespace("n", model: absurd) }
                guard case .modelBinding = found else {
                    Issue.record("binding \(index): \(String(describing: found))")
                    continue
                }
            }
            // Hundreds of layers, no two alike: does not fit a journal block, and says so.
            var irregular = good
            irregular.layers = (0..<400).map {
                LayerGeometry(kvHeadCount: 1 + $0 % 7, headDimension: 64)
            }
            let absurd = irregular
            guard
                case .modelBinding = await trouble({
                    _ = try await db.namespace("n", model: absurd)
                })
            else {
                Issue.record("an irregular binding was taken")
                return
            }
            for name in [
                "", String(repeating: "n", count: 256), String(repeating: "é", count: 128),
            ] {
                guard
                    case .invalidName = await trouble({
                        _ = try await db.namespace(name, model: good)
                    })
                else {
                    Issue.record("\(name.utf8.count) bytes of name were taken")
                    continue
                }
            }
            _ = try await db.namespace(String(repeating: "n", count: 255), model: good)
            #expect(db.namespaces.count == 1)
            #expect(db.namespace("never") == nil)
        }
    }

    @Test(
        "a chunk larger than a segment's layer, or of too many records, is refused unwritten"
    )
    func tooLarge() throws {
        let options = StoreOptions(
            capacity: .mebibytes(64), segmentSize: .kibibytes(128), digestBlockShift: 12)
        let place = StorePlace(.simulated(seed: 1), options: options)
        try place.session { db in
            let wide = try await db.namespace("wide", model: smallBinding(layers: 1))
            let tokens = [UInt32](repeating: 1, count: 300)  // 76,800 bytes a plane.
            let found = await trouble { _ = try await wide.beginPut(.zero, tokens: tokens) }
            guard case .log(.recordTooLarge(let bytes, let maximum)) = found else {
                Issue.record("\(String(describing: found))")
                return
            }
            #expect(bytes > maximum)
            // One layer a record, and more records than one commit can name.
            let deep = try await db.namespace("deep", model: smallBinding(layers: 100))
            let many = await trouble {
                _ = try await deep.beginPut(.zero, tokens: [UInt32](repeating: 1, count: 120))
            }
            guard case .shape = many else {
                Issue.record("\(String(describing: many))")
                return
            }
            #expect(db.counters.copiedBytes == 0)
            // Half as many fit, and read back.
            let chunk = TestChunk(4, tokenCount: 120)
            let half = try await db.namespace("half", model: smallBinding(layers: 40))
            try await chunk.put(in: half)
            #expect(try await chunk.isIntact(in: half) == true)
        }
    }

    @Test("a key that was never stored is a miss, everywhere")
    func miss() throws {
        let place = StorePlace(.simulated(seed: 1))
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding())
            #expect(space.contains(.zero) == nil)
            #expect(space.variants(of: .zero).isEmpty)
            #expect(try await !space.canGet(.zero))
            #expect(try await space.locate(.zero) == nil)
            try await space.remove(.zero)
            try await space.remove(.zero, variant: VariantID(7))
        }
    }
}
