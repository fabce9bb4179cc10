// The two readers side by side: the shell's, here, and the one in Python, one process for all.

import BlockIO
import ChunkDB
import ChunkFormat
import Foundation
import Primitives
import SegmentLog
import Testing

@testable import chunkdb

final class DiffReaders {
    static var diskOptions: DiskOptions {
        var options = DiskOptions()
        options.buffered = true
        options.engine = .threads
        options.registeredPoolBytes = 0
        options.threadCount = 1
        return options
    }

    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var unread = Data()

    init() throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "-B", House.path("Tests/IndependentReader/reader.py"), "images",
        ]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    func end() {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    func ask(_ paths: [String]) {
        input.fileHandleForWriting.write(Data(paths.map { $0 + "\n" }.joined().utf8))
    }

    /// The next answer, in the order of the questions.
    func theirs() throws -> DiffVerdict {
        while !unread.contains(10) {
            let more = output.fileHandleForReading.availableData
            try #require(!more.isEmpty, "the reader ended")
            unread += more
        }
        let end = unread.firstIndex(of: 10)!
        let value = try JSONSerialization.jsonObject(with: unread[..<end])
        unread = Data(unread[(end + 1)...])
        let answer = try #require(value as? [String: Any])
        try #require(answer["crashed"] == nil, "\(answer["crashed"] ?? "")")
        var verdict = DiffVerdict()
        verdict.refused = answer["refused"] as? String
        verdict.living = answer["living"] as? [String: String] ?? [:]
        verdict.damagedRecords = answer["damagedRecords"] as? [String] ?? []
        verdict.words = answer["damage"] as? [String] ?? []
        return verdict
    }

    /// What the shell finds.
    func ours(_ path: String) -> DiffVerdict {
        var verdict = DiffVerdict()
        let view: StoreView
        do throws(ShellError) {
            view = try StoreView(path: path, options: Self.diskOptions)
        } catch {
            verdict.refused = error.message
            return verdict
        }
        verdict.words = view.damages.map(\.description)
        verdict.damagedRecords = view.damages.compactMap { damage in
            guard damage.file.hasPrefix("segments/"), damage.offset > 0,
                !damage.reason.contains("RCV-7"), !damage.reason.contains("NSP-11")
            else { return nil }
            return "\(UInt32(damage.file.dropFirst(9)) ?? 0)/\(damage.offset)"
        }.sorted()
        verdict.described = Set(view.listing.namespaces.map { "\($0.id)" })
        verdict.unit = Int(view.superblock.alignmentUnit)
        let now = UInt64(Date().timeIntervalSince1970)
        let seconds = now - min(now, view.superblock.createdSeconds)
        for entry in view.listing.entries {
            // The shell lists what the engine's clock calls a miss (PAY-13).
            if entry.expirySeconds > 0, entry.expirySeconds <= seconds {
                verdict.over.insert("\(entry.namespace)/\(entry.key)/\(entry.variant.raw)")
            }
            let stored = wait { await view.verify(entry) }
            verdict.words += stored.damages.map(\.text)
            let name = "\(entry.namespace)/\(entry.key)/\(entry.variant.raw)"
            verdict.living[name] =
                stored.damages.isEmpty
                ? digest(of: stored, view) : "damaged"
        }
        return verdict
    }

    /// What the engine itself serves, which opens to write and mends; `nil` when it refuses.
    /// Namespaces that nothing describes are not served (NSP-10).
    func engine(_ path: String) throws -> DiffVerdict? {
        var options = StoreOptions(createsIfMissing: false)
        options.disk = Self.diskOptions
        guard let db = try? ChunkDB.openAndWait(at: path, options: options) else { return nil }
        return try db.wait { () async throws in
            var verdict = DiffVerdict()
            for space in db.namespaces {
                var entries: [ChunkEntry] = []
                space.forEachEntry { entry in
                    entries.append(entry)
                    return true
                }
                for entry in entries {
                    let name = "\(space.id)/\(entry.key)/\(entry.variant.raw)"
                    verdict.living[name] = try await Self.served(entry, space)
                }
            }
            await db.close()
            return verdict
        }
    }

    private static func served(_ entry: ChunkEntry, _ space: Namespace) async throws -> String {
        do throws(StoreError) {
            return try await digest(entry, space) ?? "none"
        } catch {
            switch error {
            // A codec that is not known: the planes are not there (EXT-6).
            case .damaged, .log(.unsupported): return "damaged"
            default: throw error
            }
        }
    }

    private static func digest(_ entry: ChunkEntry, _ space: Namespace) async throws(StoreError)
        -> String?
    {
        guard let data = try await space.get(entry.key, variant: entry.variant) else { return nil }
        var bytes: [UInt8] = []
        for layer in 0..<space.binding.layerCount {
            bytes += data.plane(layer: layer, .keys)
            bytes += data.plane(layer: layer, .values)
        }
        let request = SidecarRequest(entry.key, variant: entry.variant)
        guard let sidecars = try await space.sidecars([request])[0] else { return nil }
        for sidecar in sidecars { bytes += sidecar.bytes }
        let digest = Digest128(hashing: bytes)
        return hexadecimal(bigEndianBytes(digest.high) + bigEndianBytes(digest.low))
    }

    /// Of the planes as they were put, then of the sidecars.
    private func digest(of stored: StoredVariant, _ view: StoreView) -> String {
        wait {
            do throws(LogError) {
                var bytes: [UInt8] = []
                for record in stored.records.map(\.header) {
                    for extent in record.extents where extent.isPlane {
                        bytes += try await view.plane(extent, of: record)
                    }
                }
                for sidecar in try await view.sidecars(of: stored) { bytes += sidecar.bytes }
                let digest = Digest128(hashing: bytes)
                return hexadecimal(bigEndianBytes(digest.high) + bigEndianBytes(digest.low))
            } catch {
                return "not what verified a moment ago: \(error)"
            }
        }
    }
}
