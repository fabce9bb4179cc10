// This store, asked as the others are.

import ChunkDB

final class ChunkObjectStore: ObjectStore {
    let name = "chunkdb"
    let path: String
    private let source: ChunkSource
    private let options: StoreOptions
    private var held: BenchStore?

    init(at path: String, _ source: ChunkSource, options: StoreOptions) {
        self.path = path
        self.source = source
        self.options = options
    }

    private var store: BenchStore {
        get throws {
            guard let held else { throw BenchmarkError.world("chunkdb is not open") }
            return held
        }
    }

    func open() throws { held = try BenchStore(at: path, source: source, options: options) }

    func close() throws {
        try held?.close()
        held = nil
    }

    /// From aligned memory, as files are, where planes fill it.
    func put(_ object: Int) throws {
        _ = try store.put(
            object..<object + 1, writers: 1,
            from: source.geometry.hasWholeUnits ? .aligned : .arrays)
    }

    func get(_ object: Int) throws {
        let store = try store
        try blocking {
            guard let data = try await store.namespace.get(store.key(object)) else {
                throw BenchmarkError.wrongBytes("chunk \(object): a miss")
            }
            try store.check(data, chunk: object)
        }
    }

    func getLayer(_ layer: Int, of objects: [Int]) throws {
        let store = try store
        try blocking {
            try await withThrowingTaskGroup { group in
                for object in objects {
                    group.addTask {
                        let data = try await store.namespace.get(
                            store.key(object), layers: layer..<layer + 1)
                        guard let data else {
                            throw BenchmarkError.wrongBytes("chunk \(object): a miss")
                        }
                        try store.check(data, chunk: object)
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    func remove(_ object: Int) throws {
        let store = try store
        try blocking { _ = try await store.namespace.remove(store.key(object)) }
    }
}
