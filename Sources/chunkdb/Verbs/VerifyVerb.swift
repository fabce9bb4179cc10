import ArgumentParser
import ChunkFormat
import Foundation
import Primitives
import SegmentLog

/// `verify`: reads every live record and compares it with its seals and digests; changes nothing.
struct VerifyVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Reads and checks everything that is stored; exit code 1 on damage.",
        usage: """
            chunkdb PATH verify [--namespace NAME] [--jobs N] [--resume FILE] [--json] \
            [--buffered]
            """,
        discussion: """
            --resume keeps in a file how far it has come, every two seconds and at Ctrl-C; the \
            same command goes on from there, and looks again at what was found damaged. The file \
            belongs to one store, stands outside of it, and is removed when all is verified.
            """)

    /// Payload on its way at once, at most: of large variants fewer are, so that the progress bar
    /// moves.
    private static let bytesMax: UInt64 = 64 << 20

    @OptionGroup var store: StoreArguments

    @Option(help: "Only this namespace: its name, or # and its number.")
    var namespace: String?

    @Option(help: "Variants on their way at once, 1 to 64; digests take all processors.")
    var jobs = 8

    @Option(
        help: "Keep in this file how far it has come, and go on from there.", completion: .file())
    var resume: String?

    func validate() throws {
        guard (1...64).contains(jobs) else { throw ValidationError("--jobs \(jobs): 1 to 64") }
    }

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let began = console.clock.monotonicNanoseconds
        let view = try store.openStore()
        let namespaces = try view.listing.namespaceIDs(namespace)
        // In the order of the medium.
        var entries = view.listing.entries(namespaces: namespaces).sorted {
            ($0.location.segment, $0.location.offset) < ($1.location.segment, $1.location.offset)
        }
        var report = VerifyReport(
            path: view.path, isOpenElsewhere: view.isOpenElsewhere,
            damages: view.damages.map { DamageFacts($0) })
        let places = VerifiedPlaces(view)
        var resumption: VerifyResumption?
        if let resume {
            let fresh = VerifyState(
                storeID: view.superblock.storeID, namespaces: namespaces.map { Set($0.map(\.raw)) })
            let found = try VerifyResumption(resume, of: fresh, at: view.path, on: console)
            let count = entries.count
            entries.removeAll { entry in places[entry].map { found.state.knows($0) } ?? false }
            report.resumedVariantCount = count - entries.count
            resumption = found
        }
        Interruption.watchOnce()
        try verify(entries, view, places, &resumption, into: &report, on: console)
        if view.isOpenElsewhere, !report.damages.isEmpty { try lookAgain(&report) }
        report.elapsedSeconds = Double(console.clock.monotonicNanoseconds - began) / 1e9
        if store.json {
            console.print(json: report)
        } else {
            report.print(on: console)
        }
        resumption?.remove()
        return report.damages.isEmpty ? .fine : .damageFound
    }

    /// Verifies `jobs` at once, and takes results in the order of the medium.
    /// *Throws:* `.interrupted`, with the state as it was then on disk.
    private func verify(
        _ entries: [CheckpointEntry], _ view: StoreView, _ places: VerifiedPlaces,
        _ resumption: inout VerifyResumption?, into report: inout VerifyReport,
        on console: Console
    ) throws(ShellError) {
        let total = entries.reduce(UInt64(0)) { $0 &+ $1.variantDiskBytes }
        var progress = Progress("verifying", totalBytes: total, on: console)
        var waiting = entries[...]
        var running: [(entry: CheckpointEntry, task: Task<StoredVariant, Never>)] = []
        var (doneBytes, runningBytes): (UInt64, UInt64) = (0, 0)
        // Digests are computed on threads of our own: one for each processor that can be used.
        let processors = ProcessInfo.processInfo.activeProcessorCount
        let threads = (0..<min(jobs, max(processors, 1))).map { CoreThread(name: "verify-\($0)") }
        var started = 0
        defer {
            for (_, task) in running { _ = CallerThread.wait { await task.value } }
            for thread in threads { thread.finish() }
        }
        do throws(ShellError) {
            while !(waiting.isEmpty && running.isEmpty) {
                try Interruption.check()
                while let next = waiting.first, running.count < jobs,
                    running.isEmpty || runningBytes &+ next.variantDiskBytes <= Self.bytesMax
                {
                    let thread = threads[started % threads.count]
                    started += 1
                    let task = Task(executorPreference: thread) { await view.verify(next) }
                    running.append((next, task))
                    runningBytes = runningBytes &+ next.variantDiskBytes
                    waiting.removeFirst()
                }
                let (entry, task) = running.removeFirst()
                let stored = CallerThread.wait { await task.value }
                runningBytes = runningBytes &- entry.variantDiskBytes
                report.add(stored)
                if stored.damages.isEmpty, let place = places[entry] {
                    resumption?.state.note(place)
                }
                try resumption?.saveIfDue(console)
                doneBytes = doneBytes &+ entry.variantDiskBytes
                progress.update(doneBytes: doneBytes)
            }
        } catch {
            progress.finish()
            guard error.exit == .interrupted, let resumption else { throw error }
            try resumption.save()
            throw ShellError(
                .interrupted,
                "interrupted; the same command goes on from here (\(resumption.file))")
        }
        progress.finish()
    }

    /// Beside a writer, only what a second look finds as well is damage; the rest was a race.
    private func lookAgain(_ report: inout VerifyReport) throws(ShellError) {
        let view = try store.openStore()
        let suspects = Set(report.damages.map(\.variantName))
        let entries = view.listing.entries.filter {
            suspects.contains(DamageFacts.variantName(of: $0, in: view.listing))
        }
        var found = Set(view.damages.map { DamageFacts($0) })
        for entry in entries {
            found.formUnion(CallerThread.wait { await view.verify(entry) }.damages)
        }
        report.damages.removeAll { !found.contains($0) }
    }
}

/// Where entries stand, in which use of a segment.
private struct VerifiedPlaces {
    private let uses: [SegmentID: UInt64]

    init(_ view: StoreView) {
        uses = Dictionary(
            view.inspection.segments.map { ($0.handle.id, $0.handle.header.useSequence) },
            uniquingKeysWith: { $1 })
    }

    /// `nil` for an entry in a segment that was not found.
    subscript(entry: CheckpointEntry) -> VerifyState.Place? {
        let place = entry.location
        return uses[place.segment].map {
            .init(use: .init(segment: place.segment.raw, useSequence: $0), offset: place.offset)
        }
    }
}

/// The schema of `verify --json`.
struct VerifyReport: Encodable {
    var verb = "verify"
    var path: String
    /// Whether a process is seen to hold the lock: damage may then be a race with its writes.
    var isOpenElsewhere: Bool
    var variantCount = 0
    private(set) var damagedVariantCount = 0
    /// Records whose header opened.
    var recordCount = 0
    /// Of those records, headers and padding included.
    var verifiedBytes: UInt64 = 0
    var elapsedSeconds = 0.0
    /// Variants that an earlier run found sound, and this one passed over; absent without --resume.
    var resumedVariantCount: Int?
    /// The store's own structures first, then records in the order of the medium.
    var damages: [DamageFacts] {
        didSet {
            damagedVariantCount = Set(damages.filter { $0.key != nil }.map(\.variantName)).count
        }
    }

    init(path: String, isOpenElsewhere: Bool, damages: [DamageFacts]) {
        self.path = path
        self.isOpenElsewhere = isOpenElsewhere
        self.damages = damages
    }

    mutating func add(_ stored: StoredVariant) {
        variantCount += 1
        recordCount += stored.records.count
        verifiedBytes = stored.records.reduce(verifiedBytes) {
            $0 &+ $1.header.prefix.recordBytes
        }
        if !stored.damages.isEmpty { damages += stored.damages }
    }

    func print(on console: Console) {
        for damage in damages { console.print(console.painted(printable(damage.text), .red)) }
        if isOpenElsewhere, !damages.isEmpty {
            console.warn("the store is open elsewhere; damage may be a race with its writes")
        }
        let seconds = (elapsedSeconds * 10).rounded() / 10
        console.print(
            "\(counted(variantCount, "variant")), \(counted(recordCount, "record")), "
                + "\(ByteCount(verifiedBytes)) verified in \(seconds) s")
        if let resumedVariantCount {
            console.print("\(counted(resumedVariantCount, "variant")) verified before")
        }
        if damages.isEmpty {
            console.print(console.painted("no damage", .green))
        } else {
            console.print(
                console.painted(
                    "DAMAGED: \(counted(damages.count, "place")), "
                        + "\(counted(damagedVariantCount, "variant"))", .red))
            console.print("`chunkdb PATH repair NEW` copies what is sound into a new store")
        }
    }
}
