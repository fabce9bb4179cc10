// The Clock seam (PRODUCT D9): the engine asks time nowhere else, so that a test can own it.

import Glibc

public protocol StoreClock: AnyObject, Sendable {
    /// Nanoseconds since an arbitrary start; never goes back.
    var monotonicNanoseconds: UInt64 { get }
    /// Seconds since 1970; may jump.
    var wallSeconds: UInt64 { get }
    /// Returns after so long, or somewhat later.
    func sleep(nanoseconds: UInt64) async
}

/// The machine's clocks.
public final class SystemClock: StoreClock {
    public init() {}
    public var monotonicNanoseconds: UInt64 { Self.read(CLOCK_MONOTONIC) }
    public var wallSeconds: UInt64 { Self.read(CLOCK_REALTIME) / 1_000_000_000 }

    public func sleep(nanoseconds: UInt64) async {
        try? await Task.sleep(nanoseconds: nanoseconds)
    }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        // SAFETY: `time` outlives the call.
        _ = unsafe clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
