// A clock that runs for ever, in a Float that cannot. Inflation (GDSF's L) and half-lives are
// counted in whole steps; a row keeps them modulo 2^24, where a Float holds every integer, and
// reads them back as the one reading close to the present:
//
//      limit − period < reading ≤ limit        limit = now + how far ahead a row may lie
//
// So precision is one step on the first day and after a century. The price: a row left alone for a
// whole period reads as if it were younger; it never reads as if it were from the future.

/// Steps of a policy's own clock, folded into a Float.
enum WrappedSteps {
    static let period: Int64 = 1 << 24

    static func encode(_ steps: Int64) -> Float { Float(steps & (period - 1)) }

    /// The largest reading ≤ `limit` that is congruent to the score. Scores that no policy wrote
    /// read as something in range.
    static func decode(_ score: Float, notAfter limit: Int64) -> Int64 {
        let isOurs = score >= 0 && score < Float(period)
        let folded = isOurs ? Int64(score) : 0
        return limit &- ((limit &- folded) & (period - 1))
    }

    /// How far `score` lies ahead of `steps` on the circle, negative if behind: at most half a
    /// period either way.
    static func distance(from steps: Int64, to score: Float) -> Int64 {
        let ahead = (decode(score, notAfter: 0) &- steps) & (period - 1)
        return ahead < period / 2 ? ahead : ahead - period
    }
}
