// A copy of this package in which all plants are in at once, each asleep until the environment names
// it: one build serves them all. It lies below `.build`, with a build folder of its own (the lock of
// the other one is held by whoever runs these tests), so that a second run builds only what changed.

import Foundation

struct PlantedPackage {
    let plants: [Plant]
    private let place = Plant.root.appending(path: ".build/plants")

    private var copy: URL { place.appending(path: "package") }
    private var scratch: URL { place.appending(path: "build") }
    var outputs: URL { place.appending(path: "outputs") }
    var bundle: URL { scratch.appending(path: "debug/ChunkDBPackageTests.xctest") }

    /// Test targets that the plants need, by the first part of their filters.
    private var testTargets: [String] {
        Set(plants.map { String($0.test.prefix { $0 != "." }) }).sorted()
    }

    /// Copies, plants and builds. `planted` are the plants of the sources, wanted or not, so that
    /// a larger run need not build the modules again.
    func build(planted: [Plant]) throws {
        try write(planted)
        try FileManager.default.createDirectory(at: outputs, withIntermediateDirectories: true)
        let log = outputs.appending(path: "build.txt")
        let words = [
            "swift", "build", "--build-tests", "--package-path", copy.path, "--scratch-path",
            scratch.path, "-debug-info-format", "none",
        ]
        let end = try Child.run("/usr/bin/env", words, output: log, secondsMax: 900) { seconds in
            PlantTests.say("building for \(seconds) s")
        }
        guard case .exited(0) = end else {
            let text = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
            throw PlantError(description: "the copy does not build: \(end)\n\(text.suffix(4_000))")
        }
    }

    // MARK: The copy

    private func write(_ planted: [Plant]) throws {
        var wanted: [String: Data] = [:]
        let plantsOfFile = Dictionary(grouping: planted) { "Sources/\($0.file)" }
        let folders =
            ["Sources"]
            + (testTargets + ["StoreTestSupport", "EngineTestSupport"]).map { "Tests/\($0)" }
        for folder in folders {
            for path in try files(below: folder) {
                wanted[path] = try Data(contentsOf: Plant.root.appending(path: path))
            }
        }
        for (path, plants) in plantsOfFile {
            guard let source = wanted[path].flatMap({ String(data: $0, encoding: .utf8) }) else {
                throw PlantError(description: "plant \(plants[0].number): no file \(path)")
            }
            wanted[path] = Data(try Plant.plant(plants, in: source).utf8)
        }
        for module in Set(planted.map(\.module)) {
            wanted["Sources/\(module)/PlantedBug.swift"] = Data(Self.runtimeSwitch.utf8)
        }
        let manifest = try String(
            contentsOf: Plant.root.appending(path: "Package.swift"), encoding: .utf8)
        wanted["Package.swift"] = Data((manifest + reduction).utf8)
        // The versions that this build was made with.
        let resolved = Plant.root.appending(path: "Package.resolved")
        if let data = try? Data(contentsOf: resolved) { wanted["Package.resolved"] = data }
        try replace(with: wanted)
    }

    private func files(below folder: String) throws -> [String] {
        let base = Plant.root.appending(path: folder)
        guard let walk = FileManager.default.enumerator(atPath: base.path) else {
            throw PlantError(description: "no folder \(folder)")
        }
        return walk.compactMap { $0 as? String }.map { "\(folder)/\($0)" }.filter { path in
            var isDirectory = ObjCBool(false)
            let full = Plant.root.appending(path: path).path
            return FileManager.default.fileExists(atPath: full, isDirectory: &isDirectory)
                && !isDirectory.boolValue
        }
    }

    /// Leaves files alone that are right already: a build goes by their times.
    private func replace(with wanted: [String: Data]) throws {
        let manager = FileManager.default
        for folder in ["Sources", "Tests"] {
            let old = manager.enumerator(atPath: copy.appending(path: folder).path)
            for case let name as String in old ?? .init() {
                let path = "\(folder)/\(name)"
                var isDirectory = ObjCBool(false)
                let full = copy.appending(path: path)
                _ = manager.fileExists(atPath: full.path, isDirectory: &isDirectory)
                if !isDirectory.boolValue, wanted[path] == nil { try manager.removeItem(at: full) }
            }
        }
        for (path, data) in wanted {
            let full = copy.appending(path: path)
            if let there = try? Data(contentsOf: full), there == data { continue }
            try manager.createDirectory(
                at: full.deletingLastPathComponent(), withIntermediateDirectories: true)
            try data.write(to: full)
        }
    }

    /// In every module that has a plant; modules need not see each other for it.
    private static let runtimeSwitch = """
        import Glibc

        let plantedBug: Int = getenv("CHUNKDB_PLANT").flatMap { Int(String(cString: $0)) } ?? 0

        """

    /// What the plants' tests do not need is left out, and warnings are no errors: a bug may leave
    /// a name unused.
    private var reduction: String {
        """


        // The rest is of the planted copy.

        var kept: Set<String> = []
        var next: [String] = [\(testTargets.map { "\"\($0)\"" }.joined(separator: ", "))]
        while let name = next.popLast() {
            guard kept.insert(name).inserted,
                let target = package.targets.first(where: { $0.name == name })
            else { continue }
            for case .byNameItem(let name, _) in target.dependencies { next.append(name) }
        }
        package.products = []
        package.targets.removeAll { !kept.contains($0.name) }
        for target in package.targets where target.swiftSettings != nil {
            target.swiftSettings = [
                .enableUpcomingFeature("MemberImportVisibility"),
                .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
            ]
        }

        """
    }
}
