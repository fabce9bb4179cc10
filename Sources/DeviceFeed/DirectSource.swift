// Layers by cuFile. Each chunk's planes of a layer are one piece of work for one of a few threads,
// since cuFile's calls block; layers ahead are begun in order. Nobody verifies.

import BlockIO
import ChunkDB
import Feed
import Primitives
import Synchronization

final class DirectSource: DeviceLayerSource {
    private typealias End = Result<Void, DeviceError>

    /// A layer whose reads were begun.
    private final class Layer: Sendable {
        let number: Int
        let end = OneShot<End>()
        private let state: Mutex<(left: Int, end: End)>

        init(_ number: Int, readCount: Int) {
            self.number = number
            state = Mutex((readCount, .success(())))
            if readCount == 0 { end.give(.success(())) }
        }

        /// The first failure is the layer's.
        func finish(_ result: End) {
            let last = state.withLock { state -> End? in
                state.left -= 1
                if case .success = state.end { state.end = result }
                return state.left == 0 ? state.end : nil
            }
            if let last { end.give(last) }
        }
    }
    private struct State {
        /// Those that were begun and not handed over, in order.
        var begun: [Layer] = []
        /// The next to be begun, of `layers`.
        var next = 0
        var isCancelled = false
        var runningCount = 0
        var drained: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())
    let prompt: FedPrompt
    private let namespace: Namespace
    private let slabs: DeviceSlabs
    private let files: DirectFiles
    private let targets: [ObjectIdentifier: DirectFiles.Target]
    /// Those that are read, ascending.
    private let layers: [Int]
    private let layersAhead: Int
    private let firstRows: [Int]
    private let threads = WorkThreads(name: "chunkdb-direct", count: 8)

    static func start(
        _ items: [FeedItem], _ slabs: DeviceSlabs, _ files: DirectFiles, _ options: FeedOptions
    ) async throws(DeviceError) -> DirectSource {
        let found: (namespace: Namespace, prompt: FedPrompt)
        do throws(StoreError) {
            guard let first = items.first?.namespace else { throw ChunkFeed.noChunks }
            try ChunkFeed.requireOneStore(items.map(\.namespace), first)
            found = (first, try await FoundChunks.find([items]).prompts[0])
        } catch {
            throw .store(error)
        }
        return try DirectSource(found.prompt, found.namespace, slabs, files, options)
    }

    private init(
        _ prompt: FedPrompt, _ namespace: Namespace, _ slabs: DeviceSlabs, _ files: DirectFiles,
        _ options: FeedOptions
    ) throws(DeviceError) {
        let layers = namespace.binding.layers.indices.filter { !options.skippedLayers.contains($0) }
        firstRows = prompt.firstRows
        for layer in layers {
            try slabs.require(
                layer: layer, planeBytes: namespace.binding.rowBytes(layer: layer) * firstRows.last!
            )
        }
        for extent in prompt.chunks.flatMap(\.extents) where extent.row.codec != 0 {
            throw .encoded(codec: Int(extent.row.codec), layer: extent.layer)
        }
        var targets: [ObjectIdentifier: DirectFiles.Target] = [:]
        for slice in slabs.keys + slabs.values where targets[ObjectIdentifier(slice.buffer)] == nil
        {
            targets[ObjectIdentifier(slice.buffer)] = try DirectFiles.Target(files, slice.buffer)
        }
        self.prompt = prompt
        self.namespace = namespace
        self.slabs = slabs
        self.files = files
        self.targets = targets
        self.layers = layers
        layersAhead = max(options.layersAhead, 1)
        begin(layersAhead)
    }

    deinit { threads.finish() }

    func nextLayer() async throws(DeviceError) -> DeviceLayer? {
        begin(layersAhead + 1)
        guard let layer = state.withLock({ $0.isCancelled ? nil : $0.begun.first }) else {
            return nil
        }
        guard let end = await layer.end.value() else { throw .store(.cancelled) }
        let isWanted = state.withLock { state in
            state.begun.removeFirst()
            return !state.isCancelled
        }
        guard isWanted else { return nil }
        try end.get()
        return DeviceLayer(
            layer: layer.number, slabs: slabs,
            rowBytes: namespace.binding.rowBytes(layer: layer.number), firstRows: firstRows)
    }

    /// Begins layers until there are so many.
    private func begin(_ count: Int) {
        let fresh = state.withLock { state -> [Layer] in
            var fresh: [Layer] = []
            while state.begun.count < count, state.next < layers.count, !state.isCancelled {
                let layer = Layer(layers[state.next], readCount: prompt.chunks.count)
                state.next += 1
                state.begun.append(layer)
                state.runningCount += prompt.chunks.count
                fresh.append(layer)
            }
            return fresh
        }
        for layer in fresh {
            for chunk in prompt.chunks.indices {
                // The work holds the feed's source, and with it segments, memory and cuFile.
                threads.run(lane: .bulk) { [self] in
                    layer.finish(isCancelled ? .success(()) : read(chunk, layer.number))
                    letGo()
                }
            }
        }
    }

    private func read(_ chunk: Int, _ layer: Int) -> End {
        let rowBytes = namespace.binding.rowBytes(layer: layer)
        var (reads, targets, extents) = (
            [DirectFiles.Read](), [DirectFiles.Target](), [LocatedExtent]()
        )
        for (kind, slices) in [(ExtentKind.keys, slabs.keys), (.values, slabs.values)] {
            let slice = slices[layer]
            guard let extent = prompt.chunks[chunk].extent(layer: layer, kind) else {
                preconditionFailure("every layer was located")
            }
            reads.append(
                DirectFiles.Read(
                    fileOffset: extent.fileOffset, byteCount: extent.storedBytes,
                    offset: slice.range.lowerBound + firstRows[chunk] * rowBytes))
            targets.append(self.targets[ObjectIdentifier(slice.buffer)]!)
            extents.append(extent)
        }
        // Keys and values of a layer stand in one record, so in one file.
        let result = namespace.withDescriptor(of: extents[0]) { descriptor in
            Result { () throws(DeviceError) in try files.read(reads, descriptor, into: targets) }
        }
        switch result {
        case nil: return .failure(.store(.log(.closed)))
        case .failure(let error): return .failure(error)
        case .success(let short?):
            let part = reads[short.index]
            return .failure(
                .truncated(
                    layer: layer, offset: part.fileOffset, expectedBytes: part.byteCount,
                    foundBytes: short.found))
        case .success(nil):
            namespace.countFed(reads.reduce(0) { $0 + $1.byteCount }, .unverified)
            return .success(())
        }
    }

    // MARK: Cancelling

    private var isCancelled: Bool { state.withLock { $0.isCancelled } }

    func cancel() { state.withLock { $0.isCancelled = true } }

    private func letGo() {
        let drained = state.withLock { state in
            state.runningCount -= 1
            defer { if state.runningCount == 0 { state.drained = [] } }
            return state.runningCount == 0 ? state.drained : []
        }
        for waiter in drained { waiter.resume() }
    }

    func drain() async {
        await withCheckedContinuation { waiter in
            let isIdle = state.withLock { state in
                if state.runningCount > 0 { state.drained.append(waiter) }
                return state.runningCount == 0
            }
            if isIdle { waiter.resume() }
        }
    }
}
