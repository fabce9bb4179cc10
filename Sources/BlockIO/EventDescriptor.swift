/// A descriptor that other programs' loops can wait for (an eventfd): `poll` finds it readable from
/// `ring` to `silence`. Nobody but its owner reads it.
public final class EventDescriptor: Sendable {
    /// For `poll`, `epoll` and the like; closed with this object.
    public let raw: Int32

    /// *Throws:* `.failed` when the process has no descriptor left.
    public init() throws(DiskError) {
        do throws(SystemError) {
            raw = try SystemCalls.makeEvent()
        } catch {
            throw DiskError(
                operation: "eventfd", file: "no file", offset: nil, errorNumber: error.number)
        }
    }

    deinit { SystemCalls.close(raw) }

    public func ring() { SystemCalls.ring(raw) }

    public func silence() { SystemCalls.silence(raw) }

    /// The calling thread waits until it rings, at most so long, or a signal comes.
    public func wait(atMost time: Duration) {
        let milliseconds = min(max(time / .milliseconds(1), 1), 1e9)
        SystemCalls.wait(for: raw, milliseconds: Int32(milliseconds))
    }
}
