// Time that passed, CPU time of this process, and CPU time of everybody else: a number measured
// beside a busy neighbour must say so.

import Glibc

/// The clocks at one moment.
struct Clocks: Sendable {
    let nanoseconds: UInt64
    let processCPUNanoseconds: UInt64
    let machineCPUNanoseconds: UInt64

    init() {
        nanoseconds = Self.now
        processCPUNanoseconds = Self.read(CLOCK_PROCESS_CPUTIME_ID)
        machineCPUNanoseconds = Self.machine()
    }

    /// Nanoseconds since some start.
    static var now: UInt64 { read(CLOCK_MONOTONIC) }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        // SAFETY: `time` outlives the call.
        _ = unsafe clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// All CPUs together, without idling and waiting; in hundredths of a second.
    private static func machine() -> UInt64 {
        let line = Machine.read("/proc/stat").prefix { $0 != "\n" }
        let ticks = line.split(separator: " ").dropFirst().compactMap { UInt64($0) }
        guard ticks.count >= 8 else { return 0 }
        return (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6] + ticks[7]) * 10_000_000
    }
}
