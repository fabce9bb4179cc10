// KILL: a process that puts and removes is killed at any moment, and the next one finds everything
// that was acknowledged (CONTRACT F-A), on real files with the real disk. What was acknowledged
// stands in a file of the parent's: its pages outlive the child.

import ChunkDB
import EngineTestSupport
import Foundation
import Glibc
import Primitives
import StoreTestSupport
import Testing

@Suite("KILL: the process dies")
struct KillTests {
    /// `CHUNKDB_KILLS` for more.
    static let killCount = Int(ProcessInfo.processInfo.environment["CHUNKDB_KILLS"] ?? "") ?? 15
    static let workerCount: UInt64 = 3
    static let ownersPerWorker: UInt64 = 5

    @Test("F-A REC-8 loses nothing acknowledged and brings nothing back", arguments: [1, 2])
    func kills(seed: Int) async throws {
        let directory = TemporaryDirectory()
        try FileManager.default.createDirectory(
            atPath: directory.path, withIntermediateDirectories: true)
        var (inFlightCount, acknowledgedCount) = (0, 0)
        for round in 0..<Self.killCount {
            // A new store now and then: every life adds segments, and opening flushes each of them,
            // so that children of an old store would die while they open it.
            let life = directory.path + "/\(round / 20)"
            let (store, ledger) = (life + "-store", life + "-acknowledged")
            let delay = 20_000 + (seed * 7_919 + round * 104_729) % 180_000
            await #expect(processExitsWith: .signal(SIGKILL)) {
                [
                    store = store as String, ledger = ledger as String, delay = delay as Int,
                    isEarly = (round % 3 == 0) as Bool
                ] in
                try await KillTests.liveAndDie(
                    store, ledger, delay: UInt32(delay), isEarly: isEarly)
            }
            let facts = "seed \(seed) round \(round)"
            let (certain, undecided) = try Self.read(ledger)
            if !undecided.isEmpty { inFlightCount += 1 }
            acknowledgedCount += certain.count
            let db = try await ChunkDB.open(at: store, options: Self.options)
            #expect(db.recovery.damages.isEmpty, "\(facts): \(db.recovery.damages)")
            if let space = db.namespace("acme") {
                for owner in 0..<Self.workerCount * Self.ownersPerWorker {
                    let isIntact = try await TestChunk(owner).isIntact(in: space)
                    #expect(isIntact != false, "\(facts): \(owner) has wrong bytes")
                    guard let isThere = certain[owner], !undecided.contains(owner) else { continue }
                    #expect((isIntact == true) == isThere, "\(facts): \(owner)")
                }
            } else {
                #expect(certain.isEmpty, "\(facts): the namespace is gone")
            }
            await db.close()
            // What was found is what the next life goes on from.
            try Self.settle(ledger, certain)
        }
        #expect(acknowledgedCount > Self.killCount, "the children did next to nothing")
        #expect(inFlightCount * 2 >= Self.killCount, "\(inFlightCount) kills met a call inside")
    }

    private static var options: StoreOptions {
        var options = StoreOptions(capacity: .mebibytes(256), segmentSize: .mebibytes(1))
        options.disk.registeredPoolBytes = 4 << 20
        options.disk.buffered = !isDirectPossible
        options.commitsPerCheckpoint = 50
        return options
    }

    /// Whether the machine's temporary directory takes O_DIRECT.
    private static let isDirectPossible: Bool = {
        let place = TemporaryDirectory()
        return (try? openDisk(directory: place.path, create: true, readOnly: false)) != nil
    }()

    // MARK: The child

    /// Every third child may die while it opens; on a busy machine, where opening takes long, most
    /// of the others would as well.
    static func liveAndDie(
        _ store: String, _ ledger: String, delay: UInt32, isEarly: Bool
    ) async throws {
        if isEarly { die(after: delay) }
        let file = open(ledger, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        let db = try await ChunkDB.open(at: store, options: options)
        let space = try await db.namespace("acme", model: smallBinding(layers: 2))
        if !isEarly { die(after: delay) }
        try await withThrowingTaskGroup { group in
            for worker in 0..<workerCount {
                group.addTask {
                    var step: UInt64 = 0
                    while true {
                        let owner = worker * ownersPerWorker + step % ownersPerWorker
                        try await toggle(TestChunk(owner), step, space, file)
                        step += 1
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private static func die(after microseconds: UInt32) {
        Thread.detachNewThread {
            usleep(microseconds)
            kill(getpid(), SIGKILL)
        }
    }

    private static func toggle(
        _ chunk: TestChunk, _ step: UInt64, _ space: Namespace, _ file: Int32
    ) async throws {
        // The end of the process takes neither level (CONTRACT 2.3).
        let level: Durability = step % 3 == 0 ? .durable : .written
        let key = chunk.key(in: space)
        let isPut = space.contains(key) == nil
        note("begin \(chunk.owner) \(isPut)", file)
        if isPut {
            try await chunk.put(in: space, durability: level)
        } else {
            try await space.remove(key, durability: level)
        }
        note("end \(chunk.owner) \(isPut)", file)
    }

    /// One call of the kernel, so that lines are whole.
    private static func note(_ line: String, _ file: Int32) {
        let bytes = Array("\(line)\n".utf8)
        precondition(write(file, bytes, bytes.count) == bytes.count)
    }

    // MARK: The ledger

    private static func read(_ path: String) throws
        -> (certain: [UInt64: Bool], undecided: Set<UInt64>)
    {
        var certain: [UInt64: Bool] = [:]
        var undecided: Set<UInt64> = []
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            let owner = try #require(UInt64(words[1]))
            if words[0] == "begin" {
                undecided.insert(owner)
            } else {
                undecided.remove(owner)
                certain[owner] = words[2] == "true"
            }
        }
        return (certain, undecided)
    }

    private static func settle(_ path: String, _ certain: [UInt64: Bool]) throws {
        let (_, undecided) = try read(path)
        let lines = certain.filter { !undecided.contains($0.key) }
            .map { "end \($0.key) \($0.value)\n" }
        try Data(lines.joined().utf8).write(to: URL(fileURLWithPath: path))
    }
}
