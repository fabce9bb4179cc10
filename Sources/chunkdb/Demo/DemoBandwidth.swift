// The load alone: how fast verified layers arrive, beside plain direct reads of the same extents
// from the same file. Both take turns prompt by prompt, since bandwidth drifts.

import ChunkDB
import Feed

struct DemoBandwidth {
    let namespace: Namespace
    let db: ChunkDB
    let corpus: DemoCorpus

    func measure(_ report: inout DemoReport, _ console: Console) throws(DemoFailure) {
        var fed = Sum()
        var plain = Sum()
        var progress = Progress(
            "measuring the load", total: UInt64(corpus.prompts.count), on: console)
        for (index, prompt) in corpus.prompts.enumerated() {
            let items = prompt.chunks.map { FeedItem(namespace, namespace.key(tokens: $0)) }
            let clock = console.clock
            let (a, b) = try db.wait { () async throws(DemoFailure) -> (Sum, Sum) in
                do throws(StoreError) {
                    // Who goes first alternates.
                    if index.isMultiple(of: 2) {
                        let a = try await feed(items, clock)
                        return (a, try await readPlainly(items, clock))
                    }
                    let b = try await readPlainly(items, clock)
                    return (try await feed(items, clock), b)
                } catch {
                    throw .store(error)
                }
            }
            fed.add(a)
            plain.add(b)
            progress.update(done: UInt64(index + 1))
        }
        progress.finish()
        report.readBytesPerSecond = fed.bytesPerSecond
        report.deviceBytesPerSecond = plain.bytesPerSecond
    }

    struct Sum: Sendable {
        var byteCount: UInt64 = 0
        var nanoseconds: UInt64 = 0
        mutating func add(_ other: Sum) {
            byteCount += other.byteCount
            nanoseconds += other.nanoseconds
        }
        var bytesPerSecond: Double {
            nanoseconds == 0 ? 0 : Double(byteCount) / Double(nanoseconds) * 1e9
        }
    }

    private func feed(_ items: [FeedItem], _ clock: any StoreClock)
        async throws(StoreError) -> Sum
    {
        let began = clock.monotonicNanoseconds
        let feed = try await ChunkFeed.start(items)
        var sum = Sum()
        while let layer = try await feed.nextLayer() { sum.byteCount += UInt64(layer.byteCount) }
        sum.nanoseconds = clock.monotonicNanoseconds - began
        return sum
    }

    /// The same extents in the same order and depth, into one buffer, unverified.
    private func readPlainly(_ items: [FeedItem], _ clock: any StoreClock)
        async throws(StoreError) -> Sum
    {
        var chunks: [LocatedChunk] = []
        for item in items {
            if let chunk = try await namespace.locate(item.key) { chunks.append(chunk) }
        }
        var reads: [(file: FileID, offset: UInt64, byteCount: Int)] = []
        for layer in 0..<namespace.binding.layerCount {
            for chunk in chunks {
                let extents = chunk.extents.filter { $0.layer == layer }
                guard let first = extents.first else { continue }
                let bytes = extents.reduce(0) { $0 + $1.paddedBytes }
                reads.append((first.file, first.fileOffset, bytes))
            }
        }
        let byteCount = reads.reduce(0) { $0 + $1.byteCount }
        let buffer = namespace.disk.makeBuffer(byteCount: max(byteCount, 1))
        let began = clock.monotonicNanoseconds
        var offset = 0
        let pending = namespace.disk.startReads(
            reads.map { read in
                defer { offset += read.byteCount }
                return (
                    read.file, read.offset,
                    buffer.slice.slice(offset: offset, byteCount: read.byteCount)
                )
            })
        for read in pending {
            if case .failure(let error) = await read.value() { throw .log(.disk(error)) }
        }
        return Sum(
            byteCount: UInt64(byteCount), nanoseconds: clock.monotonicNanoseconds - began)
    }
}
