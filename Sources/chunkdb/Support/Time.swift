import Foundation

/// Seconds since 1970 as ISO 8601 in UTC; what no calendar has is given as the number it is.
func timeText(_ seconds: UInt64) -> String {
    guard seconds < 253_402_300_800 else { return "second \(seconds) of 1970" }
    return Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601)
}
