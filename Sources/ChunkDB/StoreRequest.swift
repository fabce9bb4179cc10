// What a store is asked for, one by one, so that another capacity or another policy can be tried on
// the very same traffic: write the lines to a file, for `chunkdb-bench traces --recorded`.

import ChunkFormat
import Primitives

/// A use of a chunk, or the put that followed a miss.
public struct StoreRequest: Sendable, Equatable {
    public enum Event: String, Sendable {
        case use
        case put
    }
    public let event: Event
    public let namespace: String
    public let key: ChunkKey
    public let variant: VariantID
    public let tokenCount: Int
    /// All records of the variant, padding and headers included.
    public let diskBytes: UInt64
    /// Since the store was made.
    public let seconds: UInt32

    /// One JSON object, without the line's end. Names of namespaces are written as hexadecimal
    /// bytes of UTF-8: a trace tells nobody's terminal what to do. No tokens, no payload.
    public var jsonLine: String {
        "{\"event\":\"\(event.rawValue)\",\"namespace\":\"\(hexadecimal(Array(namespace.utf8)))\","
            + "\"key\":\"\(key)\",\"variant\":\"\(variant)\",\"tokens\":\(tokenCount),"
            + "\"bytes\":\(diskBytes),\"seconds\":\(seconds)}"
    }
}

extension Namespace {
    func note(
        _ event: StoreRequest.Event, _ key: ChunkKey, _ variant: VariantID, tokenCount: Int,
        diskBytes: UInt64
    ) {
        guard let observer = core.options.requestObserver else { return }
        observer(
            StoreRequest(
                event: event, namespace: name, key: key, variant: variant, tokenCount: tokenCount,
                diskBytes: diskBytes, seconds: core.seconds))
    }
}
