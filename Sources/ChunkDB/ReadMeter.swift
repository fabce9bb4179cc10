// How fast the device gives, by the store's own reads. Reads overlap, so what is timed is not one
// read but a busy spell: from the first read on its way until none is, or until a few MiB have
// come. A spell of B bytes takes about `fixed + B / rate`; both follow from running sums in which
// older spells fade, as the line with the least squared relative error.
//
// Costs a dozen additions a read, under a lock that is held anyway; nothing is allocated.

/// What a store's reads have come to of late.
public struct ReadSpeed: Hashable, Sendable {
    public let bytesPerSecond: Double
    /// What comes before the first byte of reads that are asked for together.
    public let fixedSeconds: Double
    /// Busy spells that this rests on, older ones included.
    public let spellCount: UInt64
}

struct ReadMeter: Sendable {
    /// A device that is never idle is looked at after so many bytes.
    static let spellBytesMax = 8 << 20
    /// Fewer say little; opening a new store takes eight.
    static let spellCountMin: UInt64 = 16
    /// 2^(−1/64), so that a spell counts for half after 64 others: drives and neighbours change
    /// within seconds.
    private static let fading = 0.989_228_013_193_975_5

    private var outstandingCount = 0
    private var began: UInt64 = 0
    private var bytes = 0
    private var isSpoiled = false
    private(set) var spellCount: UInt64 = 0
    // Sums over spells of bytes and seconds, each divided by the spell's seconds first: of 1/t²,
    // b/t², b²/t², 1/t and b/t.
    private var ones = 0.0
    private var bytesSum = 0.0
    private var squares = 0.0
    private var inverses = 0.0
    private var rates = 0.0

    mutating func begin(at now: UInt64) {
        if outstandingCount == 0 { start(now) }
        outstandingCount += 1
    }

    /// - Parameter byteCount: `nil` when the read failed or found the file's end: its spell says
    ///   nothing.
    mutating func end(byteCount: Int?, at now: UInt64) {
        outstandingCount = max(outstandingCount - 1, 0)
        bytes += byteCount ?? 0
        if byteCount == nil { isSpoiled = true }
        guard outstandingCount == 0 || bytes >= Self.spellBytesMax else { return }
        if !isSpoiled, bytes > 0, now > began { add(Double(bytes), Double(now - began) * 1e-9) }
        start(now)
    }

    private mutating func start(_ now: UInt64) {
        began = now
        bytes = 0
        isSpoiled = false
    }

    private mutating func add(_ bytes: Double, _ seconds: Double) {
        let (one, rate) = (1 / seconds, bytes / seconds)
        ones = ones * Self.fading + one * one
        bytesSum = bytesSum * Self.fading + one * rate
        squares = squares * Self.fading + rate * rate
        inverses = inverses * Self.fading + one
        rates = rates * Self.fading + rate
        spellCount += 1
    }

    /// The line `fixed + bytes·cost` through the spells, neither negative.
    var speed: ReadSpeed? {
        guard spellCount >= Self.spellCountMin, squares > 0 else { return nil }
        let determinant = ones * squares - bytesSum * bytesSum
        var cost = rates / squares
        var fixed = 0.0
        // Spells of one size do not tell the two apart: then all is put down to bytes.
        if determinant > 1e-9 * ones * squares {
            let fixedFound = (squares * inverses - bytesSum * rates) / determinant
            let costFound = (ones * rates - bytesSum * inverses) / determinant
            if fixedFound >= 0, costFound > 0 { (fixed, cost) = (fixedFound, costFound) }
        }
        guard cost > 0, cost.isFinite, fixed.isFinite else { return nil }
        return ReadSpeed(bytesPerSecond: 1 / cost, fixedSeconds: fixed, spellCount: spellCount)
    }
}
