// PLANT: a proof of the proof. Bugs of the kinds that stores are known to have are put into a copy
// of the sources; for each of them a suite must fail that passes without it.
//
// The ordinary run tries a few, `CHUNKDB_PLANT_ALL=1` all, `CHUNKDB_PLANTS=7,12` those.

import Foundation
import Testing

@Suite("PLANT: planted bugs", .serialized)
struct PlantTests {
    private static let environment = ProcessInfo.processInfo.environment
    static let isWanted = environment["CHUNKDB_SKIP_PLANT"] == nil

    @Test("every plant of the table has its place in the sources")
    func places() throws {
        let plants = try Plant.all()
        #expect(plants.map(\.number) == Array(1...45))
        for plant in plants {
            #expect(!plant.test.isEmpty && !plant.edits.isEmpty, "\(plant.number)")
        }
        for (file, plants) in Dictionary(grouping: plants, by: \.file) {
            let source = try String(
                contentsOf: Plant.root.appending(path: "Sources/\(file)"), encoding: .utf8)
            #expect(throws: Never.self) { _ = try Plant.plant(plants, in: source) }
        }
    }

    @Test("an original that is gone, there twice, or changed twice is refused")
    func refusals() throws {
        let plant = try Plant.parse("1 one\n in A/a.swift\n by T\n-f(x,\n-  y)\n+g(PLANTED)\n")
        #expect(try Plant.plant(plant, in: "a; f(x, y); b") == "a; g((plantedBug == 1)); b")
        for source in ["f(x)", "f(x, y); f(x,\n    y)"] {
            #expect(throws: PlantError.self) { try Plant.plant(plant, in: source) }
        }
        #expect(throws: PlantError.self) { try Plant.plant(plant + plant, in: "f(x, y)") }
    }

    @Test(
        "each is caught by the test that the table names",
        .enabled(if: isWanted, "CHUNKDB_SKIP_PLANT is set"))
    func caught() async throws {
        // Minutes of waiting for children are nothing for the pool's few threads.
        let verdicts = try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Result { try Self.tryPlants() })
            }
        }
        for verdict in verdicts where !verdict.isCaught {
            Issue.record("plant \(verdict.plant.number), \(verdict.plant.name): \(verdict.account)")
        }
    }

    private static func tryPlants() throws -> [Verdict] {
        let all = try Plant.all()
        let wanted = choose(all)
        guard !wanted.isEmpty else { throw PlantError(description: "no such plants") }
        let package = PlantedPackage(plants: wanted)
        say("building a copy with \(all.count) plants, for the tests of \(wanted.count)")
        let began = Date.now
        try package.build(planted: all)
        say("built in \(seconds(since: began)) s")
        try requireHealthy(wanted, package)
        return try wanted.map { plant in
            let verdict = try Verdict(of: plant, in: package)
            say("\(plant.number) \(plant.name): \(verdict.account)")
            return verdict
        }
    }

    private static func choose(_ all: [Plant]) -> [Plant] {
        if let list = environment["CHUNKDB_PLANTS"], list != "all" {
            let numbers = list.split(separator: ",").compactMap { Int($0) }
            return all.filter { numbers.contains($0.number) }
        }
        let isAll =
            environment["CHUNKDB_PLANTS"] == "all" || environment["CHUNKDB_PLANT_ALL"] == "1"
        return isAll ? all : all.filter(\.isOrdinary)
    }

    /// With no bug awake every test that is named must pass, or its failing says nothing.
    private static func requireHealthy(_ plants: [Plant], _ package: PlantedPackage) throws {
        let began = Date.now
        let tests = Set(plants.map(\.test)).sorted()
        let run = try Run(tests, plant: 0, in: package)
        guard run.end == .exited(0) else {
            throw PlantError(
                description: "without a plant \(tests) end as \(run.end): \(run.firstIssue)")
        }
        say("\(tests.count) filters pass without a plant, \(seconds(since: began)) s")
    }

    static func say(_ text: String) {
        FileHandle.standardError.write(Data("PLANT: \(text)\n".utf8))
    }
}

func seconds(since start: Date) -> String {
    String(format: "%.1f", Date.now.timeIntervalSince(start))
}

/// One run of some tests of the copy.
struct Run {
    let end: Child.End
    /// The first line that says what went wrong.
    let firstIssue: String

    init(_ tests: [String], plant: Int, in package: PlantedPackage) throws {
        let output = package.outputs.appending(path: "plant-\(plant).txt")
        let words =
            ["--testing-library", "swift-testing"] + tests.flatMap { ["--filter", $0] }
        end = try Child.run(
            package.bundle.path, words,
            environment: ["CHUNKDB_PLANT": "\(plant)"],
            // Many times what they take: all tests together, and the slowest alone.
            output: output, secondsMax: plant == 0 ? 600 : 120)
        let text = String(decoding: (try? Data(contentsOf: output)) ?? Data(), as: UTF8.self)
        let lines = text.split(separator: "\n")
        let issue =
            lines.first { $0.contains("recorded an issue") }
            ?? lines.first { $0.contains("Fatal error") || $0.contains("Precondition failed") }
        firstIssue = issue.map { String($0.prefix(300)) } ?? ""
    }
}

struct Verdict {
    let plant: Plant
    let isCaught: Bool
    let account: String

    init(of plant: Plant, in package: PlantedPackage) throws {
        self.plant = plant
        let began = Date.now
        let run = try Run([plant.test], plant: plant.number, in: package)
        let (isCaught, how): (Bool, String) =
            switch run.end {
            case .exited(0): (false, "NOT caught by \(plant.test)")
            // A run that found no test fails too, and proves nothing.
            case .exited(let status) where run.firstIssue.isEmpty:
                (false, "NOT caught: \(plant.test) ended with \(status) and no word")
            case .exited: (true, "caught")
            case .died(let signal):
                // A trap is ours; to be killed is not.
                [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV].contains(signal)
                    ? (true, "caught, the test died of signal \(signal)")
                    : (false, "NOT caught: killed by signal \(signal)")
            case .hung: (false, "NOT caught: it hangs")
            }
        self.isCaught = isCaught
        account = "\(how), \(seconds(since: began)) s: \(run.firstIssue)"
    }
}
