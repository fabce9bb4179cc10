// The traces say what they claim, the simulator holds its capacity, and nobody beats the bound: not
// the policies, not Belady, not the true optimum of small traces.

import ArgumentParser
import ChunkDB
import Foundation
import Retention
import Testing

@testable import chunkdb_bench

@Suite("Traces")
struct TraceTests {
    @Test("are the same for the same seed, and others for another", arguments: TraceKind.allCases)
    func deterministic(kind: TraceKind) {
        func requests(_ seed: UInt64) -> [UInt32] {
            var scale = TraceScale.smoke
            scale.seed = seed
            return kind.generate(scale).requests.map(\.object)
        }
        #expect(requests(1) == requests(1))
        #expect(requests(1) != requests(2))
    }

    @Test("are well formed", arguments: TraceKind.allCases)
    func wellFormed(kind: TraceKind) {
        let trace = kind.generate(.smoke)
        #expect(trace.tenthEnds.count == 10)
        #expect(trace.tenthEnds.last == trace.requests.count)
        #expect(
            zip(trace.requests, trace.requests.dropFirst()).allSatisfy {
                $0.seconds <= $1.seconds
            })
        #expect(trace.requests.allSatisfy { Int($0.object) < trace.objects.count })
        #expect(trace.objects.allSatisfy { $0.diskBytes > 0 && $0.savedTokens > 0 })
    }

    @Test("give 60 % of the requests to 5 % of the chunks")
    func concentration() {
        let trace = TraceKind.zipf.generate(TraceScale(chunkCount: 2_000, promptCount: 10_000))
        let top = trace.requests.count { $0.object < 100 }
        #expect(abs(Double(top) / Double(trace.requests.count) - 0.6) < 0.02)
        // No prompt holds a chunk twice.
        var seen: [UInt32: Set<UInt32>] = [:]
        #expect(
            trace.requests.allSatisfy {
                seen[$0.seconds, default: []].insert($0.object).inserted
            })
    }

    @Test("stay inside the cache and below the bound", arguments: TraceKind.allCases)
    func simulation(kind: TraceKind) throws {
        let trace = kind.generate(TraceScale(chunkCount: 400, promptCount: 400, queryCount: 30))
        let bound = OfflineBound(trace)
        for percent in [1, 10, 40] {
            let capacity = trace.footprintBytes * percent / 100
            let best = bound.savedTokens(capacityBytes: capacity)
            #expect(best <= trace.requestedTokens)
            for name in RetentionPolicies.names {
                for admission in AdmissionPolicies.names {
                    let result = CacheSimulator.run(
                        trace, capacityBytes: capacity,
                        policy: try RetentionPolicies.named(name),
                        admission: try AdmissionPolicies.named(admission))
                    #expect(result.peakBytes <= capacity)
                    #expect(result.savedTokens <= best * (1 + 1e-9), "\(name) at \(percent) %")
                }
            }
        }
    }

    @Test("bound what the optimum saves, on small traces solved outright")
    func trueBound() {
        var generator = SeededGenerator(seed: 9)
        var bounds = 0.0
        var optima = 0.0
        for _ in 0..<200 {
            var trace = Trace(name: "small")
            trace.objects = (0..<5).map { _ in
                var object = TraceObject(tokenCount: 1)
                object.diskBytes = generator.integer(in: 1...4)
                object.recomputeTokens = Double(generator.integer(in: 1...9))
                return object
            }
            trace.requests = (0..<14).map {
                TraceRequest(object: UInt32(generator.integer(in: 0...4)), seconds: UInt32($0))
            }
            let capacity = generator.integer(in: 1...8)
            let bound = OfflineBound(trace).savedTokens(capacityBytes: capacity)
            let optimum = Self.optimum(trace, capacity)
            #expect(bound >= optimum - 1e-9)
            bounds += bound
            optima += optimum
        }
        // Not so far above that it says nothing.
        #expect(bounds <= 1.3 * optima, "\(bounds / optima)")
    }

    @Test("bound Belady closely, where Belady is the optimum")
    func belady() {
        let trace = TraceKind.zipf.generate(TraceScale(chunkCount: 1_000, promptCount: 3_000))
        let capacity = trace.footprintBytes / 10
        let bound = OfflineBound(trace).savedTokens(capacityBytes: capacity)
        let saved = Self.belady(trace, entryCount: capacity / trace.objects[0].diskBytes)
        #expect(saved <= bound)
        #expect(saved > 0.96 * bound, "\(saved / bound)")
    }

    /// Every set that may be kept between two requests, tried: 2^5 states.
    private static func optimum(_ trace: Trace, _ capacity: Int) -> Double {
        let count = trace.objects.count
        let fits = (0..<1 << count).map { set in
            (0..<count).reduce(0) { $0 + (set >> $1 & 1) * trace.objects[$1].diskBytes } <= capacity
        }
        var best = [Double](repeating: -.infinity, count: 1 << count)
        best[0] = 0
        for request in trace.requests {
            let object = Int(request.object)
            var next = [Double](repeating: -.infinity, count: 1 << count)
            for set in best.indices where best[set] >= 0 {
                let isHit = set >> object & 1 == 1
                let saved = best[set] + (isHit ? trace.objects[object].savedTokens : 0)
                let reachable = set | 1 << object
                for kept in next.indices where kept & ~reachable == 0 && fits[kept] {
                    next[kept] = max(next[kept], saved)
                }
            }
            best = next
        }
        return best.max() ?? 0
    }

    /// MIN: of what is stored and what was just asked for, the one asked for last from now leaves.
    private static func belady(_ trace: Trace, entryCount: Int) -> Double {
        var nextUse = [Int](repeating: .max, count: trace.requests.count)
        var seen: [UInt32: Int] = [:]
        for place in trace.requests.indices.reversed() {
            nextUse[place] = seen[trace.requests[place].object] ?? .max
            seen[trace.requests[place].object] = place
        }
        var heap = VictimHeap(objectCount: trace.objects.count)
        var saved = 0.0
        for (place, request) in trace.requests.enumerated() {
            let object = Int(request.object)
            if heap.contains(object) { saved += trace.objects[object].savedTokens }
            heap.set(object, worth: -Double(nextUse[place]))
            if heap.count > entryCount { _ = heap.removeLowest() }
        }
        return saved
    }

    @Test(
        "find S3-FIFO by dates as good as S3-FIFO by queues",
        arguments: [TraceKind.zipf, .drift, .tenants])
    func s3(kind: TraceKind) throws {
        let trace = kind.generate(TraceScale(chunkCount: 2_000, promptCount: 4_000))
        let capacity = trace.footprintBytes / 10
        let result = CacheSimulator.run(
            trace, capacityBytes: capacity, policy: try RetentionPolicies.named("s3-fifo"))
        let ours = Double(result.hitCount) / Double(result.requestCount)
        let queues = Self.s3(trace, entryCount: capacity / trace.objects[0].diskBytes)
        #expect(abs(ours - queues) < 0.01, "\(ours) and \(queues)")
    }

    /// The paper's algorithm for entries of equal size: small, main, ghost.
    private static func s3(_ trace: Trace, entryCount: Int) -> Double {
        let smallMax = entryCount / 10
        var small: ArraySlice<Int> = []
        var main: ArraySlice<Int> = []
        var ghost: ArraySlice<Int> = []
        var frequency: [Int: Int] = [:]
        var ghosts: Set<Int> = []
        var hitCount = 0
        func evictMain() {
            while let object = main.popFirst() {
                guard let uses = frequency[object], uses > 0 else {
                    frequency[object] = nil
                    return
                }
                frequency[object] = uses - 1
                main.append(object)
            }
        }
        func evictSmall() {
            while let object = small.popFirst() {
                if frequency[object, default: 0] > 0 {
                    frequency[object] = 0
                    main.append(object)
                    if main.count > entryCount - smallMax { evictMain() }
                    continue
                }
                frequency[object] = nil
                ghost.append(object)
                ghosts.insert(object)
                if ghost.count > entryCount - smallMax, let gone = ghost.popFirst() {
                    ghosts.remove(gone)
                }
                return
            }
        }
        for request in trace.requests {
            let object = Int(request.object)
            if let uses = frequency[object] {
                frequency[object] = min(uses + 1, 3)
                hitCount += 1
                continue
            }
            while small.count + main.count >= entryCount {
                if small.count >= smallMax { evictSmall() } else { evictMain() }
            }
            frequency[object] = 0
            if ghosts.contains(object) { main.append(object) } else { small.append(object) }
        }
        return Double(hitCount) / Double(trace.requests.count)
    }

    @Test("forget the lowest of a heap that changes all the time")
    func heap() {
        var generator = SeededGenerator(seed: 10)
        var heap = VictimHeap(objectCount: 60)
        var worths: [Int: Double] = [:]
        for _ in 0..<20_000 {
            if generator.unit() < 0.7 {
                let object = generator.integer(in: 0...59)
                worths[object] = generator.unit()
                heap.set(object, worth: worths[object] ?? 0)
            } else if let lowest = heap.removeLowest() {
                let expected = worths.min { $0.value < $1.value }
                #expect(lowest == expected?.key)
                worths[lowest] = nil
            }
            #expect(heap.count == worths.count)
        }
    }

    // MARK: Files

    private func mooncake(_ text: String) throws -> Trace {
        try MooncakeTrace.parse(Data(text.utf8), path: "trace.jsonl")
    }

    @Test func readsRecorded() throws {
        func line(_ event: String, _ key: String, _ tokens: Int, _ seconds: Int) -> String {
            "{\"event\":\"\(event)\",\"namespace\":\"61\",\"key\":\"\(key)\",\"variant\":\"00\","
                + "\"tokens\":\(tokens),\"bytes\":\(tokens * 1000),\"seconds\":\(seconds)}"
        }
        let text = [
            line("put", "aa", 5, 1), line("use", "aa", 5, 2), line("put", "bb", 7, 3), "",
        ].joined(separator: "\n")
        let trace = try RecordedTrace.parse(Data(text.utf8), path: "t")
        #expect(trace.objects.map(\.tokenCount) == [5, 7])
        #expect(trace.objects.map(\.diskBytes) == [5_000, 7_000])
        #expect(trace.requests.map(\.object) == [0, 0, 1])
        #expect(trace.requests.map(\.seconds) == [1, 2, 3])
        for bad in ["{}", line("eat", "aa", 5, 1), line("use", "aa", 0, 1), "no"] {
            #expect(throws: TraceFileError.self) {
                try RecordedTrace.parse(Data("\(text)\(bad)".utf8), path: "t")
            }
        }
        #expect(throws: TraceFileError.empty(path: "t")) {
            try RecordedTrace.parse(Data(), path: "t")
        }
    }

    @Test func recordedTracesMayBeginWithAStore() throws {
        func line(_ key: String) -> String {
            "{\"event\":\"use\",\"namespace\":\"61\",\"key\":\"\(key)\",\"variant\":\"00\","
                + "\"tokens\":10,\"bytes\":1000,\"seconds\":9}"
        }
        func variant(_ key: String, _ namespace: String) -> String {
            "{\"key\":\"\(key)\",\"variant\":\"00\",\"namespace\":\"\(namespace)\","
                + "\"tokenCount\":10,\"diskBytes\":1000}"
        }
        let text = [line("aa"), line("bb"), line("aa")].joined(separator: "\n")
        // One of them, another namespace's of the same name, and one that nobody asks for.
        let stored =
            "{\"verb\":\"ls\",\"variants\":["
            + [variant("bb", "a"), variant("bb", "b"), variant("cc", "a")].joined(separator: ",")
            + "]}"
        let trace = try RecordedTrace.parse(
            Data(text.utf8), path: "t", contents: (Data(stored.utf8), "s"))
        #expect(trace.storedCount == 3 && trace.objects.count == 4)
        #expect(trace.requests.map(\.object) == [1, 2, 3, 0, 1, 0])
        #expect(trace.tenthEnds.last == 6)
        // By hand: with room for all, bb at once and aa the second time; 20 of 30 tokens. With room
        // for one, nothing stays until it is asked for again: the last stored, then each newest.
        let lru = try RetentionPolicies.named("lru")
        let all = CacheSimulator.run(trace, capacityBytes: 4_000, policy: lru)
        #expect(all.savedTokens == 20 && all.requestCount == 3 && all.hitCount == 2)
        #expect(all.storedBytes == 1_000 && all.requestedBytes == 3_000)
        #expect(trace.requestedTokens == 30)
        let one = CacheSimulator.run(trace, capacityBytes: 1_000, policy: lru)
        #expect(one.savedTokens == 0)
        // What was stored before is there although admission would want to see it twice.
        let twice = CacheSimulator.run(
            trace, capacityBytes: 4_000, policy: lru,
            admission: try AdmissionPolicies.named("seen-twice"))
        #expect(twice.savedTokens == 10)
        #expect(OfflineBound(trace).savedTokens(capacityBytes: 4_000) == 20)
        #expect(throws: TraceFileError.self) {
            try RecordedTrace.parse(Data(text.utf8), path: "t", contents: (Data("[]".utf8), "s"))
        }
    }

    @Test func readsMooncake() throws {
        let trace = try mooncake(
            """
            {"timestamp": 27482, "input_length": 1100, "output_length": 52, "hash_ids": [46, 47, 9]}

            {"timestamp": 30535, "input_length": 700, "output_length": 26, "hash_ids": [46, 70]}\r
            """)
        #expect(trace.requests.map(\.object) == [0, 1, 2, 0, 3])
        #expect(trace.requests.map(\.seconds) == [0, 0, 0, 3, 3])
        #expect(trace.objects.map(\.tokenCount) == [512, 512, 76, 188])
        #expect(trace.tenthEnds.last == 5)
    }

    @Test(arguments: [
        ("nonsense", "not a JSON object"),
        ("{\"timestamp\": 1, \"input_length\": 5, \"output_length\": 1}", "hash_ids is missing"),
        (
            "{\"timestamp\": \"x\", \"input_length\": 5, \"output_length\": 1, \"hash_ids\": []}",
            "timestamp is not what it should be"
        ),
        (
            "{\"timestamp\": 1, \"input_length\": -5, \"output_length\": 1, \"hash_ids\": [1]}",
            "a length is negative"
        ),
        (
            "{\"timestamp\": -1, \"input_length\": 5, \"output_length\": 1, \"hash_ids\": [1]}",
            "timestamp is negative"
        ),
        (
            "{\"timestamp\": 1, \"input_length\": 5, \"output_length\": 1, \"hash_ids\": null}",
            "hash_ids is not what it should be"
        ),
    ])
    func namesTheLine(line: String, what: String) {
        let good = "{\"timestamp\":1,\"input_length\":5,\"output_length\":1,\"hash_ids\":[1]}"
        #expect(throws: TraceFileError.badLine(path: "trace.jsonl", line: 2, what: what)) {
            try mooncake(good + "\n" + line + "\n")
        }
        #expect(throws: TraceFileError.empty(path: "trace.jsonl")) { try mooncake("\n\n") }
        #expect(throws: TraceFileError.unreadable(path: "/no/such")) {
            try MooncakeTrace.read(path: "/no/such")
        }
    }

    @Test func runsAFileAndDraws() throws {
        let place = FileManager.default.temporaryDirectory.appending(
            path: "traces-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: place) }
        let file = place.appending(path: "trace.jsonl")
        let lines = (0..<40).map {
            "{\"timestamp\":\($0 * 1_000),\"input_length\":900,\"output_length\":1,"
                + "\"hash_ids\":[\($0 % 4),\($0 % 7 + 10)]}"
        }
        try lines.joined(separator: "\n").write(to: file, atomically: true, encoding: .utf8)
        let plot = place.appending(path: "plot.svg")
        let workload = try #require(
            try ChunkDBBench.parseAsRoot([
                "traces", "--mooncake", file.path, "--plot", plot.path, "--sizes", "20", "50",
                "--directory", place.path,
            ]) as? any Workload)
        let report = try workload.report()
        #expect(
            Set(report.results.map(\.name)) == ["mooncake, 20 % cache", "mooncake, 50 % cache"])
        let svg = try String(contentsOf: plot, encoding: .utf8)
        #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n"))
        let parser = XMLTally()
        #expect(parser.isWellFormed(svg))
        // Two sizes: seven subjects' bars or lines, beside five grid lines and the legend.
        #expect(svg.components(separatedBy: "<title>").count - 1 == 12)
    }
}

/// Whether elements open and close in order.
private struct XMLTally {
    func isWellFormed(_ text: String) -> Bool {
        var open: [Substring] = []
        for piece in text.split(separator: "<").dropFirst(0) {
            guard let end = piece.firstIndex(of: ">") else { return false }
            let tag = piece[..<end]
            if tag.hasPrefix("/") {
                guard open.popLast() == tag.dropFirst() else { return false }
            } else if !tag.hasSuffix("/") {
                open.append(tag.prefix { $0 != " " })
            }
        }
        return open.isEmpty
    }
}
