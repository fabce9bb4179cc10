// How `info` comes by its facts, and how it shows them.

import BlockIO
import ChunkFormat
import Primitives
import SegmentLog

extension InfoReport {
    init(_ view: StoreView) {
        let inspection = view.inspection
        let superblock = inspection.superblock
        let listing = view.listing
        let traits = view.disk.traits
        let report = inspection.contents.report
        var namespaces = listing.namespaces.map { description in
            Namespace(
                id: description.id.raw, name: description.name, chunkCount: 0, variantCount: 0,
                diskBytes: 0, model: ModelFacts(description.binding))
        }
        var indices = Dictionary(
            uniqueKeysWithValues: namespaces.indices.map { (namespaces[$0].id, $0) })
        var last: CheckpointEntry?
        for entry in listing.entries {
            var index = indices[entry.namespace.raw]
            if index == nil {
                namespaces.append(
                    Namespace(
                        id: entry.namespace.raw, name: listing.name(of: entry.namespace),
                        chunkCount: 0, variantCount: 0, diskBytes: 0, model: nil))
                indices[entry.namespace.raw] = namespaces.count - 1
                index = namespaces.count - 1
            }
            guard let index else { continue }
            if last?.namespace != entry.namespace || last?.key != entry.key {
                namespaces[index].chunkCount += 1
            }
            namespaces[index].variantCount += 1
            namespaces[index].diskBytes &+= entry.variantDiskBytes
            last = entry
        }
        self.init(
            path: view.path, storeID: hexadecimal(superblock.storeID),
            formatVersion: Int(Superblock.formatVersion),
            createdSeconds: superblock.createdSeconds, capacityBytes: superblock.capacityBytes,
            allocatedBytes: view.allocatedBytes().reduce(0) { $0 &+ $1.bytes },
            segmentBytes: superblock.segmentBytes, alignmentUnitBytes: superblock.alignmentUnit,
            segments: inspection.segments.map { handle, usedBytes in
                Segment(
                    file: handle.fileName, useSequence: handle.header.useSequence,
                    createdSeconds: handle.header.createdSeconds, usedBytes: usedBytes)
            },
            namespaces: namespaces,
            chunkCount: namespaces.reduce(0) { $0 + $1.chunkCount },
            variantCount: listing.entries.count,
            diskBytes: namespaces.reduce(0) { $0 &+ $1.diskBytes },
            commits: Commits(
                last: inspection.lastCommit, synced: inspection.mark.syncedCommit),
            io: InputOutput(
                engine: traits.engine, isDirect: traits.isDirect,
                hasRegisteredBuffers: traits.hasRegisteredBuffers,
                alignmentBytes: traits.alignment, notes: traits.notes),
            isOpenElsewhere: view.isOpenElsewhere,
            recovery: Recovery(
                checkpointIgnored: report.checkpointIgnored,
                replayedCommitCount: report.replayedCommitCount,
                droppedRecordCount: report.droppedRecordCount,
                unknownFiles: report.unknownFiles, damages: report.damages.map { DamageFacts($0) }))
    }

    func print(on console: Console) {
        var facts = Facts()
        facts.add("store", "\(storeID), format version \(formatVersion)")
        facts.add("created", timeText(createdSeconds))
        facts.add(
            "space",
            "\(ByteCount(allocatedBytes)) allocated of \(ByteCount(capacityBytes)) capacity")
        let used = segments.reduce(0) { $0 &+ $1.usedBytes }
        facts.add(
            "segments",
            "\(segments.count), up to \(ByteCount(segmentBytes)) each, \(ByteCount(used)) used")
        facts.add(
            "holds",
            "\(counted(variantCount, "variant")) of \(counted(chunkCount, "chunk")), "
                + "\(ByteCount(diskBytes)) on disk")
        facts.add("commits", "\(commits.last), known to be flushed up to \(commits.synced)")
        facts.add(
            "I/O",
            "\(io.engine), \(io.isDirect ? "direct" : "buffered (page cache)"), "
                + "\(io.hasRegisteredBuffers ? "" : "no ")registered buffers, "
                + "units of \(ByteCount(UInt64(io.alignmentBytes)))",
            io.isDirect ? nil : .yellow)
        for note in io.notes { facts.add("", note, .dim) }
        if isOpenElsewhere {
            facts.add("in use", "open in a process; what is below may be a moment old", .yellow)
        }
        let checkpoint = recovery.checkpointIgnored.map { "checkpoint not used: \($0)" }
        facts.add(
            "recovery",
            "\(checkpoint ?? "checkpoint used"); "
                + "\(counted(recovery.replayedCommitCount, "commit")) replayed"
                + (recovery.droppedRecordCount == 0
                    ? "" : ", \(counted(recovery.droppedRecordCount, "torn record")) dropped"))
        for name in recovery.unknownFiles { facts.add("not ours", name) }
        if recovery.damages.isEmpty {
            facts.add("damage", "none seen (`verify` reads everything)", .green)
        }
        for damage in recovery.damages { facts.add("DAMAGE", damage.text, .red) }
        facts.print(on: console)
        if namespaces.isEmpty { return }
        console.print()
        printNamespaces(on: console)
    }

    private func printNamespaces(on console: Console) {
        var table = Table([
            ("NAMESPACE", .left), ("ID", .right), ("CHUNKS", .right), ("VARIANTS", .right),
            ("SIZE", .right), ("LAYERS", .right), ("KV HEADS × DIM", .left), ("TYPE", .left),
            ("MODEL", .left),
        ])
        for namespace in namespaces {
            table.add([
                namespace.name, "\(namespace.id)", "\(namespace.chunkCount)",
                "\(namespace.variantCount)", "\(ByteCount(namespace.diskBytes))",
                namespace.model.map { "\($0.layerCount)" } ?? "?",
                namespace.model?.shapeText ?? "?", namespace.model?.elementType ?? "?",
                namespace.model?.name ?? "(its description is lost)",
            ])
        }
        table.print(on: console)
    }
}
