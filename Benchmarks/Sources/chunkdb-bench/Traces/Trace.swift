// A trace: what a store is asked for, in order. Objects are variants of chunks by number; a request
// names one of them and a second. Everything is drawn from a seed, or read from a file.

import Retention

struct TraceObject: Sendable {
    var tokenCount: Int
    var diskBytes: Int
    /// Recomputation that a use saves, in tokens of an ordinary model, before repair.
    var recomputeTokens: Double
    /// Share of it that every use repairs (CFO).
    var fixCost: Float = 0
    /// A variant beside others of its chunk.
    var isSurplus = false

    /// Llama-3-8B in bfloat16.
    static let bytesPerToken = 131_072
    /// Record and chunk headers, in whole blocks.
    static let headerBytes = 8_192

    init(tokenCount: Int, bytesPerToken: Int = bytesPerToken, costFactor: Double = 1) {
        self.tokenCount = tokenCount
        diskBytes = tokenCount * bytesPerToken + Self.headerBytes
        recomputeTokens = Double(tokenCount) * costFactor
    }

    /// Tokens of recomputation that a hit saves.
    var savedTokens: Double { recomputeTokens * Double(1 - fixCost) }

    var facts: VariantFacts {
        VariantFacts(
            diskBytes: UInt64(diskBytes), tokenCount: tokenCount,
            recomputeMilliseconds: recomputeTokens, isSurplus: isSurplus)
    }
}

struct TraceRequest: Sendable {
    let object: UInt32
    let seconds: UInt32
}

struct Trace: Sendable {
    let name: String
    var objects: [TraceObject] = []
    var requests: [TraceRequest] = []
    /// So many requests at the begin only say what is stored already: each misses, is stored
    /// whatever admission says, and counts for nothing.
    private(set) var storedCount = 0
    /// Where each tenth of the prompts ends, in requests.
    var tenthEnds: [Int] = []
    /// What cache sizes are shares of: the bytes of the objects that traffic returns to, one-time
    /// chunks of scans left out. Nil: of all objects.
    var returningObjectCount: Int?

    init(name: String) { self.name = name }

    var footprintBytes: Int {
        objects.prefix(returningObjectCount ?? objects.count).reduce(0) { $0 + $1.diskBytes }
    }
    /// What a cache of everything, full from the start, would save.
    var requestedTokens: Double {
        requests.dropFirst(storedCount).reduce(0) { $0 + objects[Int($1.object)].savedTokens }
    }

    /// Begins with what a store has, the oldest first, each once.
    mutating func begin(with stored: [UInt32]) {
        let seconds = requests.first?.seconds ?? 0
        requests = stored.map { TraceRequest(object: $0, seconds: seconds) } + requests
        tenthEnds = tenthEnds.map { $0 + stored.count }
        storedCount = stored.count
    }

    /// Marks tenths, given where each prompt ended.
    mutating func setTenths(promptEnds: [Int]) {
        tenthEnds = (1...10).map { tenth in
            let prompt = promptEnds.count * tenth / 10
            return prompt == 0 ? 0 : promptEnds[prompt - 1]
        }
    }
}
