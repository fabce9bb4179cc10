import ArgumentParser
import ChunkFormat
import Foundation
import Primitives

/// `dump NAMESPACE DIRECTORY`: a namespace as a directory of Safetensors files, one a variant.
struct DumpVerb: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "dump",
        abstract: "Writes a namespace's variants as files; goes on where it stopped.",
        usage: "chunkdb PATH dump NAMESPACE DIRECTORY [--json] [--buffered]",
        discussion: """
            Files are called KEY-VARIANT.safetensors and hold the token ids, which are the text in \
            clear; only their owner can read them. A file appears under its name when it is whole, \
            and what is there is not written again: run it again after an interruption. `load` \
            stores them in another store, or in this one.
            """)

    @OptionGroup var store: StoreArguments

    @Argument(help: "The namespace: its name, or # and its number.")
    var namespace: String

    @Argument(help: "Where the files go; it is made if it is missing.", completion: .directory)
    var directory: String

    func run(on console: Console) throws(ShellError) -> ShellExit {
        let view = try store.openStore()
        let entries = view.listing.entries(namespaces: try view.listing.namespaceIDs(namespace))
        do {
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
        } catch {
            throw ShellError(.cannotWrite, "\(directory): \(error.localizedDescription)")
        }
        var report = DumpReport(path: view.path, namespace: namespace, directory: directory)
        var progress = Progress("dumping", total: UInt64(entries.count), on: console)
        for (index, entry) in entries.enumerated() {
            try Interruption.check()
            let stored = CallerThread.wait { await view.verify(entry) }
            guard stored.damages.isEmpty else {
                report.damages += stored.damages
                continue
            }
            let name = "\(entry.key)-\(entry.variant).safetensors"
            try write(stored, as: name, view, into: &report, console)
            progress.update(done: UInt64(index + 1))
        }
        progress.finish()
        if store.json { console.print(json: report) } else { report.print(on: console) }
        view.warnOfDamage(on: console)
        return report.damages.isEmpty ? .fine : .damageFound
    }

    private func write(
        _ stored: StoredVariant, as name: String, _ view: StoreView,
        into report: inout DumpReport, _ console: Console
    ) throws(ShellError) {
        let path = "\(directory)/\(name)"
        if FileManager.default.fileExists(atPath: path) {
            report.presentCount += 1
            return
        }
        let draft = path + ".part"
        // Of an earlier run that was interrupted.
        try? FileManager.default.removeItem(atPath: draft)
        report.writtenBytes += try PlaneFile(stored, view, tokens: true)
            .write(to: draft, view, on: console)
        do {
            try FileManager.default.moveItem(atPath: draft, toPath: path)
        } catch {
            throw ShellError(.cannotWrite, "\(path): \(error.localizedDescription)")
        }
        report.writtenCount += 1
    }
}

/// The schema of `dump --json`.
struct DumpReport: Encodable {
    var verb = "dump"
    var path: String
    var namespace: String
    var directory: String
    var writtenCount = 0
    var writtenBytes: UInt64 = 0
    /// Files that were there already.
    var presentCount = 0
    /// Of variants that were left out.
    var damages: [DamageFacts] = []

    init(path: String, namespace: String, directory: String) {
        (self.path, self.namespace, self.directory) = (path, namespace, directory)
    }

    func print(on console: Console) {
        for damage in damages { console.print(console.painted(printable(damage.text), .red)) }
        console.print(
            "\(printable(directory)): \(counted(writtenCount, "file")), "
                + "\(ByteCount(writtenBytes)) written, \(presentCount) there before")
    }
}
