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

    /// The second seed's stores are soon full: segments are freed and begun again all the time.
    @Test("F-A REC-8 loses nothing acknowledged and brings nothing back", arguments: [1, 2])
    func kills(seed: Int) async throws {
        let isFull = seed == 2
        let directory = TemporaryDirectory()
        try FileManager.default.createDirectory(
            atPath: directory.path, withIntermediateDirectories: true)
        var (inFlightCount, acknowledgedCount, cleanedCount) = (0, 0, 0)
        var engine = ""
        for round in 0..<Self.killCount {
            // A new store now and then: every life adds segments, and opening flushes each of them,
            // so that children of an old store would die while they open it.
            let life = directory.path + "/\(round / 20)"
            let (store, ledger) = (life + "-store", life + "-acknowledged")
            let delay = 20_000 + (seed * 7_919 + round * 104_729) % 180_000
            await #expect(processExitsWith: .signal(SIGKILL)) {
                [
                    store = store as String, ledger = ledger as String, delay = delay as Int,
                    isEarly = (round % 3 == 0) as Bool, isFull = isFull as Bool
                ] in
                try await KillTests.liveAndDie(
                    store, ledger, delay: UInt32(delay), isEarly: isEarly, isFull: isFull)
            }
            let facts = "seed \(seed) round \(round)"
            let (certain, undecided, isInside) = try Self.read(ledger)
            if isInside { inFlightCount += 1 }
            acknowledgedCount += certain.count
            let db = try await ChunkDB.open(at: store, options: Self.options(isFull: isFull))
            if await db.logCounters().freeSegmentCount > 0 { cleanedCount += 1 }
            engine = db.disk.engine
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
        print(
            "KILL seed \(seed): \(Self.killCount) kills on \(engine), \(inFlightCount) with a call "
                + "inside, \(cleanedCount) of a store with free segments")
        #expect(cleanedCount > 0 || !isFull, "no segment was freed")
        #expect(acknowledgedCount > Self.killCount, "the children did next to nothing")
        #expect(inFlightCount * 2 >= Self.killCount, "\(inFlightCount) kills met a call inside")
    }

    private static func options(isFull: Bool) -> StoreOptions {
        var options =
            isFull
            ? StoreOptions(capacity: .mebibytes(3), segmentSize: .kibibytes(128))
            : StoreOptions(capacity: .mebibytes(256), segmentSize: .mebibytes(1))
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
        _ store: String, _ ledger: String, delay: UInt32, isEarly: Bool, isFull: Bool
    ) async throws {
        if isEarly { die(after: delay) }
        let file = open(ledger, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        var options = options(isFull: isFull)
        let binding = smallBinding(layers: 2)
        let owners = Dictionary(
            uniqueKeysWithValues: (0..<workerCount * ownersPerWorker).map {
                (ChunkKey(tokens: TestChunk($0).tokens, binding: binding), $0)
            })
        options.evictionObserver = { _, key, _ in note("evicted \(owners[key]!)", file) }
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
        -> (certain: [UInt64: Bool], undecided: Set<UInt64>, isInside: Bool)
    {
        var certain: [UInt64: Bool] = [:]
        var undecided: Set<UInt64> = []
        /// Forgotten, and so there or not (E-1), until a call that began later has ended.
        var evicted: Set<UInt64> = []
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            let owner = try #require(UInt64(words[1]))
            switch words[0] {
            case "evicted":
                evicted.insert(owner)
                undecided.insert(owner)
            case "begin":
                evicted.remove(owner)
                undecided.insert(owner)
            default:
                if !evicted.contains(owner) { undecided.remove(owner) }
                certain[owner] = words[2] == "true"
            }
        }
        return (certain, undecided, !undecided.isSubset(of: evicted))
    }

    private static func settle(_ path: String, _ certain: [UInt64: Bool]) throws {
        let undecided = try read(path).undecided
        let lines = certain.filter { !undecided.contains($0.key) }
            .map { "end \($0.key) \($0.value)\n" }
        try Data(lines.joined().utf8).write(to: URL(fileURLWithPath: path))
    }
}
