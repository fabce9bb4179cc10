// A cache of whole objects, driven by the very policies of the engine. Each request in turn: a hit
// is a use; a miss asks admission, stores the object, then forgets the lowest worth, the new object
// included, until everything fits. An object larger than the cache is not stored. Between requests
// the stored bytes never exceed the capacity. A new object that is forgotten in the same breath
// does not count as written: an engine knows the worth of what it forgot last, and need not write
// what is worth less.
//
// What it is not: the engine. No segments, so nothing is moved to free space and nothing is
// forgotten early because of its neighbours; no time passes while an object is computed.

import ChunkDB
import Retention

struct SimulationResult: Sendable {
    var requestCount = 0
    var hitCount = 0
    var requestedBytes = 0.0
    var hitBytes = 0.0
    /// Of recomputation, what repair takes left out.
    var savedTokens = 0.0
    /// Share of what each tenth of the prompts could have saved.
    var savedShareByTenth: [Double] = []
    /// Written and not forgotten in the same breath.
    var storedBytes = 0.0
    /// Largest sum of stored objects between requests.
    var peakBytes = 0
}

enum CacheSimulator {
    static func run(
        _ trace: Trace, capacityBytes: Int, policy: any RetentionPolicy,
        admission: any AdmissionPolicy = AdmitAll()
    ) -> SimulationResult {
        var result = SimulationResult()
        var rows = [HeatRow](
            repeating: HeatRow(useCount: 0, lastUseSeconds: 0, score: 0, lastFixCost: 0),
            count: trace.objects.count)
        var heap = VictimHeap(objectCount: trace.objects.count)
        var usedBytes = 0
        var tenth = (index: 0, saved: 0.0, possible: 0.0)
        for (place, request) in trace.requests.enumerated() {
            let index = Int(request.object)
            let object = trace.objects[index]
            let facts = object.facts
            let isStored = place < trace.storedCount
            if !isStored {
                result.requestedBytes += Double(object.diskBytes)
                tenth.possible += object.savedTokens
            }
            if heap.contains(index) {
                policy.use(
                    &rows[index], facts: facts, fixCost: object.fixCost, at: request.seconds)
                heap.set(index, worth: policy.worth(of: rows[index], facts: facts))
                result.hitCount += 1
                result.hitBytes += Double(object.diskBytes)
                result.savedTokens += object.savedTokens
                tenth.saved += object.savedTokens
            } else if object.diskBytes <= capacityBytes,
                isStored
                    || admission.admits(keyHash: hash(index), facts: facts, at: request.seconds)
            {
                rows[index] = policy.row(ofNew: hash(index), facts: facts, at: request.seconds)
                heap.set(index, worth: policy.worth(of: rows[index], facts: facts))
                usedBytes += object.diskBytes
                while usedBytes > capacityBytes, let victim = heap.removeLowest() {
                    usedBytes -= trace.objects[victim].diskBytes
                    policy.forget(
                        rows[victim], keyHash: hash(victim), facts: trace.objects[victim].facts,
                        because: .evicted)
                }
                if !isStored, heap.contains(index) {
                    result.storedBytes += Double(object.diskBytes)
                }
            }
            result.peakBytes = max(result.peakBytes, usedBytes)
            if tenth.index < trace.tenthEnds.count, place + 1 == trace.tenthEnds[tenth.index] {
                result.savedShareByTenth.append(
                    tenth.possible > 0 ? tenth.saved / tenth.possible : 0)
                tenth = (tenth.index + 1, 0, 0)
            }
        }
        result.requestCount = trace.requests.count - trace.storedCount
        return result
    }

    /// The number of an object is its key.
    private static func hash(_ object: Int) -> UInt64 { UInt64(object) &* 0x9E37_79B9_7F4A_7C15 }
}
