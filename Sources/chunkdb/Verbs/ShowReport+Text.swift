// How `show` looks to people.

import Codecs
import KVModel
import Primitives

extension ShowReport {
    func print(on console: Console) {
        console.print(
            console.painted("chunk \(key)", .bold) + ", \(counted(variants.count, "variant"))")
        for variant in variants {
            console.print()
            variant.print(on: console)
        }
    }
}

extension ShowReport.Variant {
    func print(on console: Console) {
        let isStandalone = variant == "\(VariantID.standalone)"
        let form = isStandalone ? " (standalone)" : ""
        let title = printable("variant \(variant)\(form) in \(namespace)")
        console.print(console.painted(title, .bold))
        facts.print(on: console)
        printPrefix(on: console)
        printExtents(on: console)
        printDigests(on: console)
        printTokens(on: console)
    }

    private var facts: Facts {
        var facts = Facts(indent: "  ")
        let position = identity.map { " from position \($0.basePosition)" } ?? ""
        facts.add("tokens", "\(tokenCount)\(position)")
        if let model {
            facts.add(
                "model",
                "\(model.name): \(counted(model.layerCount, "layer")) of \(model.shapeText) "
                    + "(KV heads × dim), \(model.elementType)")
        } else {
            facts.add("model", "unknown: the description of the namespace is lost", .red)
        }
        if let identity {
            facts.add("binding", identity.bindingDigest)
            let form = identity.keyForm == "\(KeyForm.afterRotation)" ? "after" : "before"
            facts.add(
                "identity", "\(identity.hashDomain) key; key planes stored \(form) rotation")
            let expiry = identity.expirySeconds.map { ", expires \(timeText($0))" } ?? ""
            facts.add(
                "kept",
                "\(identity.retention), since \(timeText(identity.createdSeconds))\(expiry)")
            facts.add(
                "size",
                "\(ByteCount(identity.planeBytes)) of planes, \(ByteCount(diskBytes)) on disk")
        }
        for (index, record) in records.enumerated() {
            facts.add(
                "record \(index)",
                "\(record.file) at byte \(record.offset), \(ByteCount(record.recordBytes)) "
                    + "(header \(ByteCount(UInt64(record.headerBytes)))), "
                    + "write #\(record.writeSequence)")
            facts.add("", "seal \(record.seal)", .dim)
        }
        if let metadata { metadata.add(to: &facts) }
        for damage in damages { facts.add("DAMAGE", damage.text, .red) }
        return facts
    }

    private func printPrefix(on console: Console) {
        guard let prefix = metadata?.prefix, !prefix.isEmpty else { return }
        var table = Table([("  COMPUTED AFTER", .left), ("TOKENS", .right), ("INTER", .right)])
        for share in prefix {
            table.add([
                "  \(share.key)", "\(share.tokenCount)", share.interMean.map { "\($0)" } ?? "?",
            ])
        }
        table.print(on: console)
    }

    private func printExtents(on console: Console) {
        if extents.isEmpty { return }
        var table = Table([
            ("  LAYER", .right), ("KIND", .left), ("CODEC", .left), ("FILE", .left),
            ("OFFSET", .right), ("BYTES", .right), ("PADDED", .right), ("RAW", .right),
            ("SLOTS", .left),
        ])
        for extent in extents {
            let last = Int(extent.firstDigestSlot) + extent.digestSlotCount - 1
            table.add([
                "\(extent.layer)", extent.kind, codecName(extent.codec),
                records[extent.recordIndex].file, "\(extent.fileOffset)",
                "\(extent.storedBytes)", "\(extent.paddedBytes)", "\(extent.rawBytes)",
                extent.digestSlotCount == 1
                    ? "\(last)" : "\(extent.firstDigestSlot)–\(last)",
            ])
        }
        table.print(on: console)
    }

    private func codecName(_ codec: UInt16) -> String {
        switch codec {
        case 0: "raw"
        case BytePlanes.codec: "planes+LZ4"
        default: "\(codec)"
        }
    }

    private func printDigests(on console: Console) {
        for (index, record) in records.enumerated() {
            guard let digests = record.digests else { continue }
            var table = Table([
                ("  SLOT", .right),
                (
                    "XXH3-128, record \(index), blocks of "
                        + "\(ByteCount(UInt64(record.digestBlockBytes)))", .left
                ),
            ])
            for (slot, digest) in digests.enumerated() { table.add(["\(slot)", digest]) }
            table.print(on: console)
        }
    }

    private func printTokens(on console: Console) {
        guard let metadata, let tokens = metadata.tokens else { return }
        let hasScores = metadata.tokenScores != nil || metadata.deviations != nil
        if !hasScores {
            console.print("  tokens: " + tokens.map(String.init).joined(separator: " "))
            return
        }
        var table = Table([
            ("  ROW", .right), ("TOKEN", .right), ("SCORE", .right),
            ("DEVIATION", .right),
        ])
        func number(_ list: [Double?]?, _ row: Int) -> String {
            guard let list, row < list.count else { return "" }
            return list[row].map { "\($0)" } ?? "?"
        }
        for (row, token) in tokens.enumerated() {
            table.add([
                "\(row)", "\(token)", number(metadata.tokenScores, row),
                number(metadata.deviations, row),
            ])
        }
        table.print(on: console)
    }
}

extension ShowReport.Metadata {
    fileprivate func add(to facts: inout Facts) {
        var parts = ["\(tokenCount) token ids (--tokens)"]
        if let contextImpact {
            func text(_ value: Double?) -> String { value.map { "\($0)" } ?? "?" }
            parts.append(
                "context impact inter \(text(contextImpact.interMean)) "
                    + "intra \(text(contextImpact.intraMean))")
        }
        if tokenScoreCount > 0 { parts.append(counted(tokenScoreCount, "token score")) }
        if deviationCount > 0 { parts.append(counted(deviationCount, "deviation")) }
        if let creationMilliseconds, creationMilliseconds > 0 {
            let device = deviceClass.map { " on \($0)" } ?? ""
            parts.append("prefill took \(creationMilliseconds) ms\(device)")
        }
        if let parent { parts.append("repaired from variant \(parent)") }
        if let positionCount { parts.append(counted(positionCount, "listed position")) }
        if let capturedLayerCount { parts.append(counted(capturedLayerCount, "captured layer")) }
        if let unknownSections { parts.append(counted(unknownSections.count, "unknown section")) }
        facts.add("metadata", parts.joined(separator: ", "))
    }
}
