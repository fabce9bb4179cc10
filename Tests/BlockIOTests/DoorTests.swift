@testable import BlockIO
import Foundation
import Glibc
import Testing

/// Who and what is let in: locks, names, and things that are not our files.
@Suite struct DoorTests {
    @Test(arguments: Place.engines)
    func secondOpenerIsRefused(engine: DiskEngine) async throws {
        let place = Place()
        let first = try place.openDisk(engine)
        let file = try await first.open("lock", .createNew)
        try await first.lock(file)
        try await first.lock(file)
        let second = try place.openDisk(engine)
        let other = try await second.open("lock", .readWrite)
        let error = await #expect(throws: DiskError.self) { try await second.lock(other) }
        #expect(error?.code == .locked)
        // Opening and closing the file elsewhere must not release the lock.
        await second.close(other)
        let third = try await second.open("lock", .readWrite)
        await #expect(throws: DiskError.self) { try await second.lock(third) }
        await first.shutdown()
        try await second.lock(third)
        await second.shutdown()
    }

    @Test(arguments: Place.engines)
    func anotherProcessIsRefused(engine: DiskEngine) async throws {
        let place = Place()
        let disk = try place.openDisk(engine)
        let file = try await disk.open("lock", .createNew)
        try await disk.lock(file)
        func flock() throws -> Int32 {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/flock")
            process.arguments = ["--nonblock", place.path + "/lock", "true"]
            try process.run()
            process.waitUntilExit()
            return process.terminationStatus
        }
        guard FileManager.default.isExecutableFile(atPath: "/usr/bin/flock") else {
            try Test.cancel("no flock(1) here")
        }
        #expect(try flock() == 1)
        await disk.shutdown()
        #expect(try flock() == 0)
    }

    @Test(arguments: Place.engines)
    func onlyPlainFilesAreOpened(engine: DiskEngine) async throws {
        let place = Place()
        let disk = try place.openDisk(engine)
        for name in ["a", "b"] { await disk.close(try await disk.open(name, .createNew)) }
        try await disk.makeDirectory("d")
        symlink("a", place.path + "/link")
        symlink("/etc", place.path + "/etc")
        link(place.path + "/b", place.path + "/second")
        mkfifo(place.path + "/fifo", 0o600)
        symlink(place.path + "/d", place.path + "/dlink")
        await disk.close(try await disk.open("loose", .createNew))
        chmod(place.path + "/loose", 0o622)
        let names = [
            "loose", "link", "b", "second", "fifo", "d", "dlink", "dlink/x", "etc/passwd",
        ]
        for name in names {
            for mode in [OpenMode.read, .readWrite] {
                let error = await #expect(throws: DiskError.self, "\(name)") {
                    _ = try await disk.open(name, mode)
                }
                #expect(error?.code == .notARegularFile, "\(name)")
            }
        }
        await #expect(throws: DiskError.self) {
            _ = try await disk.open("dlink/new", .createNew)
        }
        await #expect(throws: DiskError.self) { try await disk.rename("a", to: "dlink/a") }
        await #expect(throws: DiskError.self) { try await disk.unlink("etc/passwd") }
        #expect(try await disk.list("d") == [])
        await disk.shutdown()
    }

    @Test(arguments: Place.engines)
    func nastyNamesStayInside(engine: DiskEngine) async throws {
        let place = Place()
        let disk = try place.openDisk(engine)
        let names = [
            "", ".", "..", "/", "/etc/passwd", "../escape", "a/../../escape", "a//b", "a/",
            "nul\0l", String(repeating: "x", count: 300), String(repeating: "y/", count: 3_000),
        ]
        for name in names {
            await #expect(throws: DiskError.self, "\(name.prefix(20))") {
                _ = try await disk.open(name, .createNew)
            }
            await #expect(throws: DiskError.self, "\(name.prefix(20))") {
                try await disk.makeDirectory(name)
            }
            await #expect(throws: DiskError.self, "\(name.prefix(20))") {
                try await disk.unlink(name)
            }
        }
        #expect(try await disk.list("") == [])
        await disk.shutdown()
    }

    @Test func modesAreTight() async throws {
        let place = Place()
        let mask = umask(0)
        let disk = try place.openDisk(.threads)
        let file = try await disk.open("a", .createNew)
        try await disk.makeDirectory("d")
        umask(mask)
        _ = file
        let manager = FileManager.default
        func mode(_ path: String) throws -> Int {
            try manager.attributesOfItem(atPath: path)[.posixPermissions] as! Int
        }
        #expect(try mode(place.path) == 0o700)
        #expect(try mode(place.path + "/a") == 0o600)
        #expect(try mode(place.path + "/d") == 0o700)
        await disk.shutdown()
    }

    @Test(arguments: Place.engines)
    func readingChangesNothing(engine: DiskEngine) async throws {
        let place = Place()
        let writer = try place.openDisk(engine)
        let lock = try await writer.open("a", .createNew)
        try await writer.lock(lock)
        let reader = try place.openDisk(engine, create: false, readOnly: true)
        let file = try await reader.open("a", .read)
        #expect(try await reader.byteCount(of: file) == 0)
        for mode in [OpenMode.readWrite, .createNew] {
            let error = await #expect(throws: DiskError.self) {
                _ = try await reader.open("new", mode)
            }
            #expect(error?.code == .permissionDenied)
        }
        await #expect(throws: DiskError.self) { try await reader.unlink("a") }
        await #expect(throws: DiskError.self) { try await reader.makeDirectory("d") }
        await #expect(throws: DiskError.self) { try await reader.rename("a", to: "b") }
        #expect(try await reader.list("") == ["a"])
        await reader.shutdown()
        await writer.shutdown()
    }

    @Test func missingDirectoryIsNamed() throws {
        let place = Place()
        let error = #expect(throws: DiskError.self) {
            _ = try place.openDisk(.automatic, create: false)
        }
        #expect(error?.code == .notFound && error?.file == place.path)
        #expect(FileManager.default.createFile(atPath: place.path, contents: nil))
        let file = #expect(throws: DiskError.self) { _ = try place.openDisk(.automatic) }
        #expect(file?.code == .notFound)
    }

    /// With the standard descriptors closed, no data file takes their numbers (S-18).
    @Test func standardDescriptorsAreNotUsed() async {
        await #expect(processExitsWith: .exitCode(7)) {
            for number in Int32(0)...2 { close(number) }
            let place = Place()
            let disk = try place.openDisk(.threads)
            let file = try await disk.open("a", .createNew)
            let stray: [UInt8] = [1, 2, 3]
            for number in Int32(0)...2 { _ = write(number, stray, 3) }
            let isClean = try await disk.byteCount(of: file) == 0
            await disk.shutdown()
            exit(isClean ? 7 : 8)
        }
    }
}

/// The walk that stands in for openat2.
@Suite struct WalkTests {
    @Test func walksNamesAndNoLinks() throws {
        let place = Place()
        let root = try StoreDirectory(path: place.path, create: true, readOnly: false)
        try root.makeDirectory("d")
        func walk(_ path: String, _ flags: Int32 = O_RDWR | O_CREAT | O_EXCL) -> Int32 {
            do throws(SystemError) {
                let result = try SystemCalls.walk(
                    root.descriptor, path, flags: flags, mode: 0o600)
                close(result)
                return 0
            } catch {
                return error.number
            }
        }
        #expect(walk("a") == 0 && walk("d/b") == 0)
        #expect(try root.list("d") == ["b"])
        symlink(place.path + "/d", place.path + "/link")
        symlink("a", place.path + "/alias")
        #expect([ENOTDIR, ELOOP].contains(walk("link/c")))
        #expect(walk("alias", O_RDONLY) == ELOOP)
        #expect(walk("nowhere/c") == ENOENT)
        #expect(walk(".", O_RDONLY | O_DIRECTORY) == 0)
    }
}
