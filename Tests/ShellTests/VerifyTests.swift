// `verify` that is interrupted and goes on, and what its state file may be instead.

import ChunkDB
import ChunkFormat
import Foundation
import Primitives
import Testing

@testable import chunkdb

@Suite("`verify` that goes on")
struct VerifyTests {
    private func identity(_ place: Place) throws -> [UInt8] {
        let bytes = try place.bytes("superblock", at: 0, count: Superblock.blockBytes)
        return try Superblock(decoding: bytes, copyIndex: 0).storeID
    }

    /// A state that knows what these variants' first records are.
    private func write(_ owners: [UInt32], to file: String, of place: Place) throws {
        var state = VerifyState(storeID: try identity(place), namespaces: nil)
        for owner in owners {
            let shown = try place.run([
                "show", "\(key(owner))", "--variant", "0000000000000000", "--json",
            ]).json
            let variant = try #require((shown["variants"] as? [[String: Any]])?.first)
            let record = try #require((variant["records"] as? [[String: Any]])?.first)
            let name = try #require(record["file"] as? String)
            let segments = try #require(
                place.run(["segments", "--json"]).json["segments"] as? [[String: Any]])
            let use = try #require(segments.first { $0["file"] as? String == name })
            state.note(
                .init(
                    use: .init(
                        segment: try #require(UInt32(name.suffix(8))),
                        useSequence: try #require(use["useSequence"] as? UInt64)),
                    offset: try #require(record["offset"] as? UInt64)))
        }
        try Data(state.text.utf8).write(to: URL(fileURLWithPath: file))
    }

    @Test("passes over what an earlier run found sound, and takes its state away at the end")
    func goesOn() throws {
        let place = try Place()
        try place.makeStore()
        let file = place.path + "/state"
        try write([1, 2], to: file, of: place)
        let before = try place.contents()
        let outcome = place.run(["verify", "--resume", file, "--json", "--jobs", "2"])
        #expect(outcome.exit == .fine, "\(outcome.errors)")
        #expect(try outcome.json["resumedVariantCount"] as? Int == 2)
        #expect(try outcome.json["variantCount"] as? Int == 4)
        #expect(!FileManager.default.fileExists(atPath: file))
        #expect(try place.contents() == before)
        let whole = place.run(["verify", "--resume", file])
        #expect(whole.exit == .fine && whole.output.contains("0 variants verified before"))
    }

    @Test("reads damage again that was behind it, and sees what was written since")
    func looksAgain() throws {
        let place = try Place()
        try place.makeStore()
        let file = place.path + "/state"
        try write([2], to: file, of: place)
        let shown = try place.run(["show", "\(key(3))", "--json"]).json
        let variant = try #require((shown["variants"] as? [[String: Any]])?.first)
        let extents = try #require(variant["extents"] as? [[String: Any]])
        let records = try #require(variant["records"] as? [[String: Any]])
        try place.overwrite(
            try #require(records.first?["file"] as? String),
            at: try #require(extents[1]["fileOffset"] as? UInt64) + 9, with: [0xAA, 0x55])
        let outcome = place.run(["verify", "--resume", file, "--json"])
        #expect(outcome.exit == .damageFound)
        #expect(try outcome.json["resumedVariantCount"] as? Int == 1)
        #expect(try outcome.json["damagedVariantCount"] as? Int == 1)
        // Chunk 2 stands elsewhere now: what was known of its old place is not known of the new.
        try write([2], to: file, of: place)
        #expect(place.run(["rm", "\(key(2))", "--yes"]).exit == .fine)
        let db = try ChunkDB.openAndWait(at: place.store, options: storeOptions())
        try db.wait { () async throws in
            try await put(2, in: try #require(db.namespace("acme")))
            await db.close()
        }
        let moved = try place.run(["verify", "--resume", file, "--json"]).json
        #expect(moved["resumedVariantCount"] as? Int == 0)
    }

    @Test("takes no state of another store, of other namespaces, a torn one, or somebody's file")
    func refusals() throws {
        let place = try Place()
        try place.makeStore()
        let file = place.path + "/state"
        func run(_ bytes: [UInt8], _ words: [String] = []) throws -> Outcome {
            try Data(bytes).write(to: URL(fileURLWithPath: file))
            return place.run(["verify", "--resume", file] + words)
        }
        let other = VerifyState(storeID: [UInt8](repeating: 1, count: 16), namespaces: nil)
        let foreign = try run(Array(other.text.utf8))
        #expect(foreign.exit == .usage && foreign.errors.contains("another store"))
        try write([1], to: file, of: place)
        let narrow = place.run(["verify", "--resume", file, "--namespace", "acme"])
        #expect(narrow.exit == .usage && narrow.errors.contains("other namespaces"))
        let sound = [UInt8](try #require(FileManager.default.contents(atPath: file)))
        for count in [0, 1, 10, sound.count / 2, sound.count - 1] {
            let torn = try run(Array(sound.prefix(count)), ["--json"])
            #expect(torn.exit == .fine && torn.errors.contains("beginning anew"), "\(count)")
            #expect(try torn.json["resumedVariantCount"] as? Int == 0)
        }
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<100 {
            var bytes = sound
            let bit = UInt8(1) << UInt8.random(in: 0..<8, using: &generator)
            bytes[Int.random(in: 0..<bytes.count, using: &generator)] ^= bit
            let flipped = try run(bytes)
            #expect(flipped.exit == .fine || flipped.exit == .usage)
            #expect(!flipped.output.contains("1 variant verified before"))
            #expect(!(flipped.errors + flipped.output).contains("\u{1B}"))
        }
        let letter = Array("dear diary\u{1B}[31m".utf8)
        #expect(try run(letter).exit == .usage)
        #expect(FileManager.default.contents(atPath: file) == Data(letter))
        let inside = place.run(["verify", "--resume", place.store + "/state"])
        #expect(inside.exit == .usage && inside.errors.contains("inside the store"))
        #expect(place.run(["verify", "--resume", place.path]).exit == .usage)
        #expect(place.run(["verify", "--jobs", "0"]).exit == .usage)
    }

    @Test("a state says what it was told, in any order, and nothing else")
    func roundTrip() throws {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<50 {
            var state = VerifyState(
                storeID: (0..<16).map { _ in .random(in: 0...255, using: &generator) },
                namespaces: Bool.random(using: &generator) ? nil : [1, 9])
            var places: [VerifyState.Place] = []
            for _ in 0..<Int.random(in: 0..<40, using: &generator) {
                let place = VerifyState.Place(
                    use: .init(
                        segment: .random(in: 0..<4, using: &generator),
                        useSequence: .random(in: 0..<3, using: &generator)),
                    offset: .random(in: 0...UInt64.max, using: &generator))
                places.append(place)
                state.note(place)
            }
            let again = try VerifyState(parsing: Array(state.text.utf8))
            #expect(again == state)
            for place in places { #expect(again.knows(place)) }
            #expect(!again.knows(.init(use: .init(segment: 5, useSequence: 0), offset: 0)))
        }
    }

    @Test(
        "Ctrl-C leaves a state that the next run goes on from",
        .enabled(if: Place.executable != nil, "the executable does not stand beside the tests"))
    func interrupted() throws {
        let place = try Place()
        var options = storeOptions()
        (options.capacity, options.segmentSize) = (.mebibytes(256), .mebibytes(8))
        let zeros = [UInt8](repeating: 0, count: 16 * 256)
        let db = try ChunkDB.openAndWait(at: place.store, options: options)
        try db.wait { () async throws in
            let acme = try await db.namespace("acme", model: binding("tiny", layers: 3))
            for owner in 0..<3_000 as Range<UInt32> {
                var writer = try await acme.beginPut(key(owner), tokens: tokens(owner))
                for layer in 0..<3 {
                    try await writer.append(layer: layer, keys: zeros, values: zeros)
                }
                _ = try await writer.commit(durability: .accepted)
            }
            await db.close()
        }
        // Damage early on the medium, which the first run meets: no word of it may be kept.
        let shown = try place.run(["show", "\(key(1))", "--json"]).json
        let variant = try #require((shown["variants"] as? [[String: Any]])?.first)
        let extents = try #require(variant["extents"] as? [[String: Any]])
        let records = try #require(variant["records"] as? [[String: Any]])
        try place.overwrite(
            try #require(records.first?["file"] as? String),
            at: try #require(extents[0]["fileOffset"] as? UInt64) + 9, with: [0xAA, 0x55])
        let file = place.path + "/state"
        /// *Returns:* what it said, and how it ended.
        func run(interruptedAfter seconds: Double?) throws -> (text: String, status: Int32) {
            let process = Process()
            process.executableURL = Place.executable
            process.arguments = [
                place.store, "verify", "--resume", file, "--jobs", "1", "--buffered", "--engine",
                "threads",
            ]
            let errors = Pipe()
            process.standardError = errors
            process.standardOutput = FileHandle.nullDevice
            // A worker thread of Dispatch, which this may be, blocks signals, and hands that on.
            var (wanted, before) = (sigset_t(), sigset_t())
            sigemptyset(&wanted)
            sigaddset(&wanted, SIGINT)
            pthread_sigmask(SIG_UNBLOCK, &wanted, &before)
            try process.run()
            pthread_sigmask(SIG_SETMASK, &before, nil)
            if let seconds {
                usleep(UInt32(seconds * 1e6))
                process.interrupt()
            }
            let text = errors.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            return (String(decoding: text, as: UTF8.self), process.terminationStatus)
        }
        // Well inside, as far as that can be known; whenever it comes, two runs see all once.
        let began = Date()
        #expect(try run(interruptedAfter: nil).status == 1)
        let (text, status) = try run(interruptedAfter: Date().timeIntervalSince(began) * 0.6)
        let isSaved = FileManager.default.fileExists(atPath: file)
        if status == 130 {
            #expect(isSaved && text.contains("goes on from here"), "\(text)")
        }
        let rest = place.run(["verify", "--resume", file, "--json"])
        #expect(rest.exit == .damageFound, "\(text)")
        let resumed = try #require(rest.json["resumedVariantCount"] as? Int)
        #expect(try resumed + #require(rest.json["variantCount"] as? Int) == 3_000)
        #expect(isSaved || resumed == 0)
    }
}
