import KVModel
import Primitives

/// Ends the core's thread with the last user of the log.
final class ThreadKeeper: Sendable {
    private let thread: CoreThread
    init(_ thread: CoreThread) { self.thread = thread }
    deinit { thread.finish() }
}

extension ModelBinding {
    /// Refuses what the namespace record has no room for.
    func requireStorable() throws(ModelBindingError) {
        for (index, layer) in layers.enumerated() {
            if let window = layer.windowTokenCount, window > Int(UInt32.max) {
                throw ModelBindingError(
                    field: "layers[\(index)].windowTokenCount", reason: "must be below 2^32")
            }
        }
        if let calibration, !layers.indices.contains(calibration.checkLayer) {
            throw ModelBindingError(
                field: "calibration.checkLayer",
                reason: "must be one of \(layers.count) layers, not \(calibration.checkLayer)")
        }
    }
}
