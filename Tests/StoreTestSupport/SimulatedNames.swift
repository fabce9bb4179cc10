// Names of simulated files between promise and fact: a creation, a rename or a removal is durable
// only after its directory was flushed (CONTRACT F-B.4).

import Primitives

struct SimulatedNames: Sendable {
    enum Target: Sendable, Equatable {
        case directory
        case file(Int)
    }

    /// One change, atomic by itself.
    private struct Change: Sendable {
        let number: UInt64
        var removed: [String] = []
        var added: [String: Target] = [:]

        var directories: Set<String> {
            Set((removed + added.keys).map(SimulatedNames.parent))
        }

        func apply(to names: inout [String: Target]) {
            for name in removed { names[name] = nil }
            for (name, target) in added { names[name] = target }
        }
    }

    private(set) var current: [String: Target] = [:]
    private var durable: [String: Target] = [:]
    private var unflushed: [Change] = []
    private var changeNumber: UInt64 = 0

    subscript(_ name: String) -> Target? { current[name] }

    static func parent(_ name: String) -> String {
        name.lastIndex(of: "/").map { String(name[..<$0]) } ?? ""
    }

    func hasDirectory(_ name: String) -> Bool { name.isEmpty || current[name] == .directory }

    func list(_ directory: String) -> [String] {
        let prefix = directory.isEmpty ? "" : directory + "/"
        return current.keys.filter { $0 != directory && Self.parent($0) == directory }
            .map { String($0.dropFirst(prefix.count)) }.sorted()
    }

    mutating func add(_ name: String, _ target: Target) {
        change { $0.added[name] = target }
    }

    mutating func remove(_ name: String) {
        change { $0.removed = [name] }
    }

    mutating func rename(_ source: String, to target: String) {
        let moved = current[source]!
        change {
            $0.removed = [source]
            $0.added[target] = moved
        }
    }

    private mutating func change(_ describe: (inout Change) -> Void) {
        changeNumber += 1
        var change = Change(number: changeNumber)
        describe(&change)
        change.apply(to: &current)
        unflushed.append(change)
    }

    /// What a directory flush that is issued now will cover.
    var flushScope: UInt64 { changeNumber }

    mutating func completeFlush(of directory: String, _ scope: UInt64) {
        let isCovered = { (change: Change) in
            change.number <= scope && change.directories.contains(directory)
        }
        for change in unflushed where isCovered(change) { change.apply(to: &durable) }
        unflushed.removeAll(where: isCovered)
    }

    /// Files that some name, now or after a crash, can still reach.
    var reachableFiles: Set<Int> {
        var files: Set<Int> = []
        let targets = Array(current.values) + Array(durable.values)
            + unflushed.flatMap { Array($0.added.values) }
        for case .file(let file) in targets { files.insert(file) }
        return files
    }

    func crashed(_ survival: Survival, _ generator: inout SeededGenerator) -> SimulatedNames {
        var names = durable
        let survives = survival.names.survivors(of: unflushed.count, &generator)
        for (change, isKept) in zip(unflushed, survives) {
            // Of a list of names there are no torn halves: those patterns choose at random.
            let isTorn = [.tornPrefix, .tornInside, .garbage].contains(survival.names)
            if isTorn ? Bool.random(using: &generator) : isKept {
                change.apply(to: &names)
            }
        }
        // What lies in a directory that is not there is not there.
        for name in names.keys.sorted() {
            let parent = Self.parent(name)
            if !parent.isEmpty && names[parent] != .directory { names[name] = nil }
        }
        var result = SimulatedNames()
        result.current = names
        result.durable = names
        return result
    }
}
