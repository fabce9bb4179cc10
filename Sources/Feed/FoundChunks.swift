// Which chunks a feed is about: each is opened once, however many prompts name it.

import ChunkDB
import ChunkFormat
import Primitives

package enum FoundChunks {
    fileprivate struct Name: Hashable {
        let namespace: NamespaceID
        let key: ChunkKey
        let variant: VariantID
    }

    /// What was found of each prompt, and all chunks, each once, in the order in which prompts name
    /// them. Headers are opened side by side.
    package static func find(_ prompts: [[FeedItem]])
        async throws(StoreError) -> (prompts: [FedPrompt], chunks: [LocatedChunk])
    {
        var numbers: [Name: Int] = [:]
        var items: [FeedItem] = []
        for item in prompts.joined() {
            if numbers[item.name] == nil {
                numbers[item.name] = items.count
                items.append(item)
            }
        }
        let located = try await locate(items)
        var chunks: [LocatedChunk] = []
        let indices = located.map { chunk -> Int? in
            guard let chunk else { return nil }
            chunks.append(chunk)
            return chunks.count - 1
        }
        let found = prompts.map { prompt in
            var (places, misses) = ([Int](), [Int]())
            for (position, item) in prompt.enumerated() {
                if let index = indices[numbers[item.name]!] {
                    item.namespace.countUse(of: chunks[index].entry, fixCost: item.fixCost)
                    places.append(index)
                } else {
                    misses.append(position)
                }
            }
            return FedPrompt(chunks: places.map { chunks[$0] }, misses: misses, indices: places)
        }
        return (found, chunks)
    }

    private static func locate(_ items: [FeedItem]) async throws(StoreError) -> [LocatedChunk?] {
        typealias Outcome = Result<LocatedChunk?, StoreError>
        let outcomes = await withTaskGroup(of: (Int, Outcome).self) { group in
            for (number, item) in items.enumerated() {
                group.addTask { (number, await item.locate()) }
            }
            var outcomes: [Outcome?] = Array(repeating: nil, count: items.count)
            for await (number, outcome) in group { outcomes[number] = outcome }
            return outcomes
        }
        var located: [LocatedChunk?] = []
        for outcome in outcomes { located.append(try outcome!.get()) }
        return located
    }
}

extension FeedItem {
    fileprivate var name: FoundChunks.Name {
        FoundChunks.Name(namespace: namespace.id, key: key, variant: variant)
    }

    fileprivate func locate() async -> Result<LocatedChunk?, StoreError> {
        do throws(StoreError) {
            return .success(try await namespace.locate(key, variant: variant))
        } catch {
            return .failure(error)
        }
    }
}
