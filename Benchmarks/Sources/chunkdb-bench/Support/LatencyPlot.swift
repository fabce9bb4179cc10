// Curves of latencies for a report's page: how many operations took no longer than how long. The
// axis of latencies is logarithmic, that of percentiles counts nines, so that tails can be seen.
// All charts of a page share both axes. Plain SVG, coloured by the page's style.

import Foundation

struct LatencyPlot {
    let results: [BenchmarkResult]

    private static let curvesPerChart = 6
    /// A curve that ends below it is of a few operations, and says less than the bars do.
    private static let percentileMin = 90.0
    /// As wide as a phone, so that words are never drawn smaller than they are.
    private static let size = (width: 400.0, height: 240.0)
    private static let inset = (left: 52.0, top: 8.0, right: 22.0, bottom: 22.0)

    private struct Curve {
        let title: String
        let points: [LatencyPoint]
    }

    /// Empty where no result has a curve.
    var html: String {
        let curves = results.compactMap { result in
            result.latencyCurve.map {
                Curve(title: "\(result.name), \(result.subject)", points: $0)
            }
        }.filter { $0.points.last.map { $0.percentile >= Self.percentileMin } ?? false }
        let times = curves.flatMap(\.points).map { max($0.nanoseconds, 1) }
        guard let low = times.min(), let high = times.max() else { return "" }
        let first = Int(floor(log10(low)))
        let axis = first...max(Int(ceil(log10(high))), first + 1)
        let charts = stride(from: 0, to: curves.count, by: Self.curvesPerChart).map {
            chart(Array(curves[$0..<min($0 + Self.curvesPerChart, curves.count)]), axis)
        }
        return "<h2>Latency, share of operations that took no longer</h2>\n"
            + "<div class=\"panels\">" + charts.joined(separator: "\n") + "</div>\n"
    }

    private func chart(_ curves: [Curve], _ axis: ClosedRange<Int>) -> String {
        let lines = curves.enumerated().map { index, curve in
            let points = curve.points.map { "\(x($0.nanoseconds, axis)),\(y($0.percentile))" }
            return "<polyline class=\"c\(index)\" points=\"\(points.joined(separator: " "))\"/>"
        }
        let legend = curves.enumerated().map { index, curve in
            "<span><svg viewBox=\"0 0 16 6\"><polyline class=\"c\(index)\" points=\"0,3 16,3\"/>"
                + "</svg>\(ReportPage.escaped(curve.title))</span>"
        }
        return "<div class=\"curves\"><svg viewBox=\"0 0 \(n(Self.size.width)) "
            + "\(n(Self.size.height))\" role=\"img\">\n" + grid(axis) + "\n"
            + lines.joined(separator: "\n") + "</svg>\n<div class=\"legend\">"
            + legend.joined(separator: "\n") + "</div></div>"
    }

    private func grid(_ axis: ClosedRange<Int>) -> String {
        let (left, right) = (Self.inset.left, Self.size.width - Self.inset.right)
        let (top, bottom) = (Self.inset.top, Self.size.height - Self.inset.bottom)
        let rows = [0, 50, 90, 99, 99.9, 99.99].map { percentile in
            "<path class=\"grid\" d=\"M\(n(left)) \(y(percentile))H\(n(right))\"/>"
                + "<text x=\"\(n(left - 4))\" y=\"\(y(percentile))\" dy=\"4\" "
                + "text-anchor=\"end\">\(String(format: "%g", percentile)) %</text>"
        }
        let columns = axis.map { decade in
            let place = x(pow(10, Double(decade)), axis)
            return "<path class=\"grid\" d=\"M\(place) \(n(top))V\(n(bottom))\"/>"
                + "<text x=\"\(place)\" y=\"\(n(Self.size.height - 6))\" "
                + "text-anchor=\"middle\">\(Self.name(decade))</text>"
        }
        return (rows + columns).joined(separator: "\n")
    }

    /// Of 10^`decade` nanoseconds.
    private static func name(_ decade: Int) -> String {
        let unit = ["ns", "µs", "ms", "s"][min(max(decade, 0) / 3, 3)]
        return "\(Int(pow(10, Double(decade - 3 * min(max(decade, 0) / 3, 3))))) \(unit)"
    }

    private func x(_ nanoseconds: Double, _ axis: ClosedRange<Int>) -> String {
        let share =
            (log10(max(nanoseconds, 1)) - Double(axis.lowerBound)) / Double(axis.count - 1)
        return n(Self.inset.left + share * (Self.size.width - Self.inset.left - Self.inset.right))
    }

    /// Four nines are the top.
    private func y(_ percentile: Double) -> String {
        let share = min(-log10(max(1 - percentile / 100, 1e-4)) / 4, 1)
        let height = Self.size.height - Self.inset.top - Self.inset.bottom
        return n(Self.inset.top + height * (1 - share))
    }

    private func n(_ value: Double) -> String { String(format: "%.1f", value) }
}
