// The session as people use it: a real terminal, which tmux keeps, and keys pressed in it.

import ChunkDB
import Foundation
import KVModel
import Testing

@testable import chunkdb

/// A terminal of 250 columns with a plain `sh` in it.
private final class Tmux {
    private static let program = ["/usr/bin/tmux", "/usr/local/bin/tmux", "/bin/tmux"]
        .first { FileManager.default.isExecutableFile(atPath: $0) }
    static var isThere: Bool { program != nil }
    private let socket: String
    /// Its directory holds the socket until the server has ended.
    private let place: Place

    init(in place: Place) throws {
        self.place = place
        socket = place.path + "/tmux"
        // Not by `Process`: it waits until nobody holds a descriptor that the server inherits.
        let words = "-f /dev/null new-session -d -x 250 -y 50"
        let shell = "env HOME=\(place.path) PS1='$ ' sh"
        let status = system(
            "\(Self.program ?? "") -S \(socket) \(words) \"\(shell)\" </dev/null >/dev/null 2>&1")
        try #require(status == 0)
    }

    deinit { _ = try? call(["kill-server"]) }

    @discardableResult
    private func call(_ words: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.program ?? "")
        process.arguments = ["-S", socket] + words
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: output, as: UTF8.self)
    }

    func press(_ keys: String...) throws { try call(["send-keys"] + keys) }

    func screen() throws -> String { try call(["capture-pane", "-p"]) }

    /// The screen, once it shows what is waited for; a failure after two minutes.
    @discardableResult
    func wait(
        for what: (String) -> Bool, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> String {
        let end = Date().addingTimeInterval(120)
        while true {
            let text = try screen()
            if what(text) { return text }
            guard Date() < end else {
                Issue.record("the screen is\n\(text)", sourceLocation: sourceLocation)
                throw CancellationError()
            }
            Thread.sleep(forTimeInterval: 0.05)
        }
    }

    /// Returns once keys of the terminal send signals.
    func waitForSignals() throws {
        let path = try call(["display-message", "-p", "#{pane_tty}"])
        let tty = open(path.trimmingCharacters(in: .whitespacesAndNewlines), O_RDWR | O_NOCTTY)
        try #require(tty >= 0)
        defer { close(tty) }
        let end = Date().addingTimeInterval(120)
        while Date() < end {
            var settings = termios()
            try #require(tcgetattr(tty, &settings) == 0)
            if settings.c_lflag & tcflag_t(ISIG) != 0 { return }
            usleep(500)
        }
        Issue.record("no verb began")
    }

    /// What `stty` says of the terminal.
    func settings() throws -> [Substring] {
        try press("clear; stty -a; echo END", "Enter")
        let text = try wait { $0.contains("\nEND") && $0.contains("speed") }
        return text.split(separator: "\n").drop { !$0.hasPrefix("speed") }.prefix { $0 != "END" }
            .flatMap { $0.split { $0 == " " || $0 == ";" } }
    }
}

@Suite(
    "A session at a terminal",
    .enabled(if: Tmux.isThere, "tmux is not installed"),
    .enabled(if: Place.executable != nil, "the executable does not stand beside the tests"))
struct TmuxTests {
    private static let hasEditor = ["/usr/lib", "/usr/lib64", "/lib"].contains { folder in
        let names = FileManager.default.enumerator(atPath: folder)
        while let name = names?.nextObject() as? String {
            if name.hasSuffix("libedit.so.2") { return true }
        }
        return false
    }

    private func start(_ terminal: Tmux, _ place: Place) throws {
        let program = try #require(Place.executable).path
        try terminal.press(
            "\(program) \(place.store) --buffered --engine threads", "Enter")
        try terminal.wait { $0.contains("`help` lists the verbs") && $0.hasPrompt }
    }

    @Test(
        "completes, remembers, and Ctrl-C clears a line",
        .enabled(if: hasEditor, "libedit is not installed"))
    func editing() throws {
        let place = try Place()
        try place.makeStore()
        let terminal = try Tmux(in: place)
        try start(terminal, place)
        try terminal.press("inf", "Tab")
        try terminal.wait { $0.contains("chunkdb> info") }
        try terminal.press("C-c")
        try terminal.press("ls --na", "Tab", "wi", "Tab", "Enter")
        try terminal.wait {
            $0.contains("chunkdb> ls --namespace wide") && $0.contains("1 variant,")
        }
        let digits = String("\(key(1))".prefix(4))
        try terminal.press("show \(digits)", "Tab")
        try terminal.wait { $0.contains("chunkdb> show \("\(key(1))".prefix(16))") }
        try terminal.press("C-c")
        try terminal.press("info", "Enter")
        try terminal.wait { $0.contains("format version") && $0.hasPrompt }
        try terminal.press("Up", "Up", "Enter")
        try terminal.wait { $0.components(separatedBy: "1 variant,").count == 3 && $0.hasPrompt }
        try terminal.press("C-d")
        let after = try terminal.settings()
        #expect(after.contains("icanon") && after.contains("echo") && after.contains("isig"))
        // A later session knows the lines of this one; its file is nobody else's to read.
        let history = place.path + "/.chunkdb_history"
        let mode = try FileManager.default.attributesOfItem(atPath: history)[.posixPermissions]
        #expect((mode as? NSNumber)?.intValue == 0o600)
        try start(terminal, place)
        try terminal.press("Up", "Up")
        try terminal.wait { $0.contains("chunkdb> info") }
    }

    @Test("Ctrl-C ends `verify`, not the session, and leaves the terminal as it was")
    func interrupting() throws {
        let place = try Place()
        var options = storeOptions()
        (options.capacity, options.segmentSize) = (.mebibytes(256), .mebibytes(8))
        let db = try ChunkDB.openAndWait(at: place.store, options: options)
        try db.wait { () async throws in
            let many = try await db.namespace("many", model: binding("eight", layers: 8))
            for owner in 100..<2_600 as Range<UInt32> {
                var writer = try await many.beginPut(
                    many.key(tokens: tokens(owner)), tokens: tokens(owner))
                for layer in 0..<8 {
                    try await writer.append(layer: layer, keys: zeros, values: zeros)
                }
                _ = try await writer.commit(durability: .accepted)
            }
            await db.close()
        }
        let terminal = try Tmux(in: place)
        let before = try terminal.settings()
        try start(terminal, place)
        try terminal.press("verify", "Enter")
        // While a line is edited the terminal sends no signals; then the verb runs.
        try terminal.waitForSignals()
        try terminal.press("C-c")
        let screen = try terminal.wait { $0.contains("chunkdb: interrupted") && $0.hasPrompt }
        #expect(!screen.contains("verified in"))
        try terminal.press("ls --limit 1", "Enter")
        try terminal.wait { $0.contains("more behind --limit") && $0.hasPrompt }
        try terminal.press("quit", "Enter")
        let after = try terminal.settings()
        #expect(after == before)
        try oneShot(terminal, place, before)
    }

    /// The same without a session: the bar goes, a word stays, and the next run goes on.
    private func oneShot(_ terminal: Tmux, _ place: Place, _ before: [Substring]) throws {
        let program = try #require(Place.executable).path
        let words = "verify --resume \(place.path)/state --jobs 1 --buffered --engine threads"
        let line = "clear; \(program) \(place.store) \(words); echo EXIT=$?"
        // Once to its end, to know how long it takes: then well inside.
        let began = Date()
        try terminal.press(line, "Enter")
        try terminal.wait { $0.contains("EXIT=0") }
        let seconds = Date().timeIntervalSince(began)
        try terminal.press(line, "Enter")
        try terminal.wait { !$0.contains("EXIT=0") }
        Thread.sleep(forTimeInterval: seconds * 0.6)
        try terminal.press("C-c")
        let screen = try terminal.wait { $0.contains("EXIT=1") || $0.contains("EXIT=0") }
        if screen.contains("EXIT=130") {
            #expect(screen.contains("goes on from here") && !screen.contains("verifying ["))
            #expect(FileManager.default.fileExists(atPath: place.path + "/state"))
        }
        #expect(try terminal.settings() == before)
        let rest = try place.run(["verify", "--resume", place.path + "/state", "--json"]).json
        let resumed = try #require(rest["resumedVariantCount"] as? Int)
        #expect(try resumed + #require(rest["variantCount"] as? Int) == 2_500)
        #expect((resumed > 0) == screen.contains("EXIT=130"))
    }

    private let zeros = [UInt8](repeating: 0, count: 4_096)
}

extension String {
    /// Whether the last line waits for words.
    fileprivate var hasPrompt: Bool {
        split(separator: "\n").last { !$0.allSatisfy(\.isWhitespace) }?.hasPrefix("chunkdb>")
            == true
    }
}
