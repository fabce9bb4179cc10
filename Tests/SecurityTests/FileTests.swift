// S-3, S-4, S-18, S-19: what stands where our files should be, who may read them, which descriptors
// they get, and how many write at once.

import BlockIO
import ChunkDB
import EngineTestSupport
import Foundation
import Glibc
import Primitives
import StoreTestSupport
import Synchronization
import Testing

@Suite("S-3 S-4 S-18 S-19: files, modes, descriptors, locks")
struct FileTests {
    static func makeStore(_ path: String) throws {
        let db = try ChunkDB.openAndWait(at: path, options: realOptions)
        try db.wait { () async throws in
            let space = try await db.namespace("acme", model: smallBinding(layers: 1))
            for owner in 1...3 as ClosedRange<UInt64> { try await TestChunk(owner).put(in: space) }
            await db.close()
        }
    }

    enum Swap: String, CaseIterable { case symbolicLink, hardLink, fifo, directory }

    @Test(
        "S-3 another thing in a file's place is never followed, and nothing hangs on it",
        arguments: [
            "superblock", "journal-0", "journal-1", "checkpoint", "heat", "segments/00000000",
        ], Swap.allCases)
    func swapped(file: String, swap: Swap) throws {
        let place = TemporaryDirectory()
        let store = place.path + "/store"
        try FileManager.default.createDirectory(
            atPath: place.path, withIntermediateDirectories: true)
        try Self.makeStore(store)
        let (ours, victim) = ("\(store)/\(file)", place.path + "/victim")
        try FileManager.default.copyItem(atPath: ours, toPath: victim)
        let before = FileManager.default.contents(atPath: victim)
        unlink(ours)
        let made: Int32 =
            switch swap {
            case .symbolicLink: symlink(victim, ours)
            case .hardLink: link(victim, ours)
            case .fifo: mkfifo(ours, 0o600)
            case .directory: mkdir(ours, 0o700)
            }
        try #require(made == 0)
        do {
            // One copy of the metadata may be missing; the store then opens, and puts elsewhere.
            let db = try ChunkDB.openAndWait(at: store, options: realOptions)
            #expect(file != "superblock")
            db.wait {
                if let space = db.namespace("acme") {
                    _ = try? await TestChunk(9).put(in: space)
                }
                await db.close()
            }
        } catch {
            guard case .log(.disk(let cause)) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(cause.code == .notARegularFile || swap == .directory, "\(cause)")
        }
        #expect(FileManager.default.contents(atPath: victim) == before, "written through the swap")
    }

    @Test("S-3 a racing thread that swaps a file for a link never gets a write through it")
    func racingSwap() async throws {
        let openGoal =
            ProcessInfo.processInfo.environment["CHUNKDB_SWAPS"].flatMap(Int.init) ?? 100
        let place = TemporaryDirectory()
        try FileManager.default.createDirectory(
            atPath: place.path, withIntermediateDirectories: true)
        let (store, victim) = (place.path + "/store", place.path + "/victim")
        let disk = try openDisk(
            directory: store, create: true, readOnly: false, options: realOptions.disk)
        await disk.close(try await disk.open("a", .createNew))
        let secret = Data("not ours".utf8)
        try secret.write(to: URL(fileURLWithPath: victim))
        chmod(victim, 0o600)
        let shared = Race()
        let swapper = Thread {
            while !shared.isOver.load(ordering: .acquiring) {
                rename(store + "/a", store + "/b")
                symlink(victim, store + "/a")
                sched_yield()
                unlink(store + "/a")
                rename(store + "/b", store + "/a")
                shared.swapCount.add(1, ordering: .relaxed)
            }
        }
        swapper.start()
        var (openCount, refusedCount, tries) = (0, 0, 0)
        let block = disk.makeBuffer(byteCount: 4_096)
        while openCount < openGoal || refusedCount < openGoal, tries < openGoal * 200 {
            tries += 1
            do {
                let file = try await disk.open("a", .readWrite)
                try await disk.write(file, at: 0, from: block.slice)
                await disk.close(file)
                openCount += 1
            } catch {
                refusedCount += 1
            }
        }
        shared.isOver.store(true, ordering: .releasing)
        await disk.shutdown()
        #expect(FileManager.default.contents(atPath: victim) == secret)
        #expect(openCount > 0 && refusedCount > 0, "\(openCount) \(refusedCount) of \(tries)")
        #expect(shared.swapCount.load(ordering: .relaxed) > 0)
    }

    private final class Race: Sendable {
        let isOver = Atomic(false)
        let swapCount = Atomic(0)
    }

    @Test("S-4 who writes ends what a copy let others read; who inspects changes nothing")
    func tightened() async throws {
        let place = TemporaryDirectory()
        try FileTests.makeStore(place.path)
        let files = ["superblock", "journal-0", "segments/00000000"]
        for file in files { try #require(chmod("\(place.path)/\(file)", 0o644) == 0) }
        func mode(_ file: String) -> mode_t {
            var facts = stat()
            return unsafe lstat("\(place.path)/\(file)", &facts) == 0 ? facts.st_mode & 0o777 : 0
        }
        let reader = try openDisk(directory: place.path, create: false, readOnly: true)
        _ = try await reader.open("superblock", .read)
        await reader.shutdown()
        #expect(mode("superblock") == 0o644)
        let db = try await ChunkDB.open(at: place.path, options: realOptions)
        for file in files { #expect(mode(file) == 0o600, "\(file)") }
        await db.close()
    }

    @Test("S-4 with an umask of 0 nobody else may read or write anything of a store")
    func modes() async {
        await #expect(processExitsWith: .success) {
            umask(0)
            let place = TemporaryDirectory()
            try FileManager.default.createDirectory(
                atPath: place.path, withIntermediateDirectories: true)
            try FileTests.makeStore(place.path + "/store")
            let paths = try FileManager.default.subpathsOfDirectory(atPath: place.path)
            var facts = stat()
            for path in paths {
                guard lstat(place.path + "/" + path, &facts) == 0, facts.st_mode & 0o077 == 0
                else { exit(3) }
            }
            exit(paths.count >= 7 ? 0 : 4)
        }
    }

    /// The flags that the kernel keeps for the mapping an address lies in.
    private static func mappingFlags(of address: UInt) throws -> [Substring] {
        // The kernel gives such a file no length.
        let maps = try FileHandle(forReadingFrom: URL(fileURLWithPath: "/proc/self/smaps"))
        let text = String(decoding: try maps.readToEnd() ?? Data(), as: UTF8.self)
        var isInside = false
        for line in text.split(separator: "\n") {
            let bounds = line.prefix { $0 != " " }.split(separator: "-")
            if bounds.count == 2, let lower = UInt(bounds[0], radix: 16),
                let upper = UInt(bounds[1], radix: 16)
            {
                isInside = (lower..<upper).contains(address)
            } else if isInside, line.hasPrefix("VmFlags:") {
                return line.split(separator: " ")
            }
        }
        return []
    }

    @Test("S-4 large transfer memory is left out of core dumps")
    func coreDumps() async throws {
        let place = TemporaryDirectory()
        let disk = try openDisk(
            directory: place.path, create: true, readOnly: false, options: realOptions.disk)
        let large = disk.makeBuffer(byteCount: 4 << 20)
        let flags = try Self.mappingFlags(of: large.slice.address)
        #expect(flags.contains("dd"), "\(flags)")
        // The buffer lives until here.
        #expect(large.byteCount == 4 << 20)
        await disk.shutdown()
    }

    @Test("S-18 a store opened with descriptors 0 to 2 closed is not hit by what is printed")
    func standardDescriptors() async {
        await #expect(processExitsWith: .exitCode(7)) {
            for number in Int32(0)...2 { close(number) }
            let place = TemporaryDirectory()
            var options = realOptions
            options.disk.engine = .automatic
            let db = try ChunkDB.openAndWait(at: place.path, options: options)
            let isIntact = try db.wait { () async throws in
                let space = try await db.namespace("acme", model: smallBinding(layers: 1))
                let stray = [UInt8](repeating: 0xEE, count: 8_192)
                for owner in 1...5 as ClosedRange<UInt64> {
                    for number in Int32(0)...2 { _ = write(number, stray, stray.count) }
                    try await TestChunk(owner).put(in: space)
                }
                var isIntact = true
                for owner in 1...5 as ClosedRange<UInt64> {
                    isIntact = try await TestChunk(owner).isIntact(in: space) == true && isIntact
                }
                await db.close()
                return isIntact
            }
            let again = try ChunkDB.openAndWait(at: place.path, options: options)
            let isSound = again.recovery.damages.isEmpty
            again.wait { await again.close() }
            exit(isIntact && isSound ? 7 : 8)
        }
    }

    static let raceCount =
        ProcessInfo.processInfo.environment["CHUNKDB_OPEN_RACES"]
        .flatMap(Int.init) ?? 60

    /// Opens, and while it has the store, holds a file that only one can make.
    static func race(_ store: String, _ count: Int) throws -> (won: Int, lost: Int, both: Int) {
        var (won, lost, both) = (0, 0, 0)
        for _ in 0..<count {
            do {
                let db = try ChunkDB.openAndWait(at: store, options: realOptions)
                won += 1
                let marker = open(store + "-writer", O_CREAT | O_EXCL | O_WRONLY, 0o600)
                if marker < 0 { both += 1 }
                usleep(500)
                if marker >= 0 {
                    close(marker)
                    unlink(store + "-writer")
                }
                db.wait { await db.close() }
            } catch {
                guard case .log(.disk(let cause)) = error, cause.code == .locked else {
                    throw error
                }
                lost += 1
                usleep(200)
            }
        }
        return (won, lost, both)
    }

    @Test("S-19 N-7 of two processes that open again and again, never do both have the store")
    func openRaces() async throws {
        let place = TemporaryDirectory()
        try FileManager.default.createDirectory(
            atPath: place.path, withIntermediateDirectories: true)
        let store = place.path + "/store"
        try Self.makeStore(store)
        let count = Self.raceCount
        async let child = #expect(processExitsWith: .success) {
            [store = store as String, count = count as Int] in
            let (won, _, both) = try FileTests.race(store, count)
            exit(both == 0 && won > 0 ? 0 : 9)
        }
        let ours = try await Task.detached { try Self.race(store, count * 2) }.value
        _ = await child
        #expect(ours.both == 0 && ours.won > 0, "\(ours)")
    }
}
