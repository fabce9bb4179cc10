import ArgumentParser
import ChunkFormat
import Primitives
import Retention
import SegmentLog

/// `policy`: what decides which chunks stay, as far as the store itself knows.
struct PolicyVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "policy",
        abstract: "Under which policy the scores were made, and how they are spread.",
        usage: "chunkdb PATH policy [--json]",
        discussion: """
            Policies are given to the process that opens the store, and not stored; the heat \
            table says under which its scores were made. It is named when one policy held for \
            all namespaces. Uses and scores are those of the last checkpoint.
            """)

    @OptionGroup var store: StoreArguments

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        let report = PolicyReport(view)
        if store.json { console.print(json: report) } else { report.print(on: console) }
        view.warnOfDamage(on: console)
        return .fine
    }
}

/// The schema of `policy --json`.
struct PolicyReport: Encodable {
    struct Namespace: Encodable {
        var id: UInt32
        var name: String
        var variantCount: Int
        var pinnedCount: Int
        /// Of those that the last checkpoint knows; so the following.
        var usedCount: Int
        var useCount: UInt64
        /// Absent when no score is a number.
        var lowestScore: Double?
        var medianScore: Double?
        var highestScore: Double?
    }
    var verb = "policy"
    var path: String
    /// Absent when no heat table opens.
    var policyDigest: String?
    /// Absent when none of the known ones, alone, has that digest.
    var policy: String?
    var knownPolicies = RetentionPolicies.names
    var knownAdmissionPolicies = AdmissionPolicies.names
    /// In order of their numbers.
    var namespaces: [Namespace]

    init(_ view: StoreView) {
        path = view.path
        let digest = view.heatFile()?.policyDigest
        policyDigest = digest.map { "\($0)" }
        // HEA-6.
        policy = RetentionPolicies.names.first {
            digest == Digest128(hashing: Array("default=\($0)\n".utf8))
        }
        namespaces = view.listing.namespaces.map { description in
            let entries = view.listing.entries(namespaces: [description.id])
            let usages = entries.compactMap { view.usage(of: $0) }
            let scores = usages.compactMap(\.score).sorted()
            return Namespace(
                id: description.id.raw, name: description.name, variantCount: entries.count,
                pinnedCount: entries.count(where: \.isPinned),
                usedCount: usages.count { $0.useCount > 0 },
                useCount: usages.reduce(0) { $0 + UInt64($1.useCount) },
                lowestScore: scores.first,
                medianScore: scores.isEmpty ? nil : scores[scores.count / 2],
                highestScore: scores.last)
        }
    }

    func print(on console: Console) {
        var facts = Facts()
        let unknown = policyDigest.map { "not one policy for all namespaces, digest \($0)" }
        facts.add("policy", policy ?? unknown ?? "unknown: there is no heat table")
        facts.add("known", knownPolicies.joined(separator: ", "))
        facts.add("admission", knownAdmissionPolicies.joined(separator: ", "))
        facts.print(on: console)
        if namespaces.isEmpty { return }
        console.print()
        var table = Table([
            ("NAMESPACE", .left), ("VARIANTS", .right), ("PINNED", .right), ("USED", .right),
            ("USES", .right), ("SCORES FROM", .right), ("MEDIAN", .right), ("TO", .right),
        ])
        func text(_ score: Double?) -> String { score.map { "\(Float($0))" } ?? "?" }
        for space in namespaces {
            table.add([
                space.name, "\(space.variantCount)", "\(space.pinnedCount)", "\(space.usedCount)",
                "\(space.useCount)", text(space.lowestScore), text(space.medianScore),
                text(space.highestScore),
            ])
        }
        table.print(on: console)
    }
}
