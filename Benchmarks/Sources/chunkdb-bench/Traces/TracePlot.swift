// The traces' report as a picture: a panel for each trace, a group of bars for each cache size, a
// bar for each policy, and a line over the group that nobody can pass. Plain SVG, no library.

import Foundation

struct TracePlot {
    /// One bar or, for the bound, one line.
    struct Point {
        var trace: String
        var size: String
        var subject: String
        /// 0…1.
        var savedShare: Double
    }

    private static let colours = [
        "#1b6ca8", "#9aa5b1", "#c9a227", "#5b8c5a", "#a2577a", "#d1704a", "#555555",
    ]
    private static let panel = (width: 380.0, height: 220.0)
    private static let plot = (left: 44.0, top: 34.0, right: 10.0, bottom: 26.0)

    static func svg(_ points: [Point], bound: String) -> String {
        let traces = unique(points.map(\.trace))
        let subjects = unique(points.map(\.subject)).filter { $0 != bound }
        let columns = min(max(traces.count, 1), 3)
        let rows = (traces.count + columns - 1) / max(columns, 1)
        let width = max(Double(columns) * panel.width, 60 + 110 * Double(subjects.count + 1))
        let height = Double(rows) * panel.height + 40
        var lines = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(n(width))\" "
                + "height=\"\(n(height))\" viewBox=\"0 0 \(n(width)) \(n(height))\" "
                + "font-family=\"sans-serif\" font-size=\"11\">",
            "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
        ]
        for (index, trace) in traces.enumerated() {
            let x = Double(index % columns) * panel.width
            let y = Double(index / columns) * panel.height
            lines.append("<g transform=\"translate(\(n(x)) \(n(y)))\">")
            lines += drawn(points.filter { $0.trace == trace }, trace, subjects, bound)
            lines.append("</g>")
        }
        for (index, subject) in (subjects + [bound]).enumerated() {
            let x = 44 + 110 * Double(index)
            let y = height - 18
            let (inset, fill) = subject == bound ? (4.0, "black") : (0, colour(index))
            lines.append(
                "<rect x=\"\(n(x))\" y=\"\(n(y + inset))\" width=\"10\" "
                    + "height=\"\(n(10 - 2 * inset))\" fill=\"\(fill)\"/>"
                    + text(subject, x: x + 14, y: y + 9))
        }
        return (lines + ["</svg>", ""]).joined(separator: "\n")
    }

    private static func drawn(
        _ points: [Point], _ trace: String, _ subjects: [String], _ bound: String
    ) -> [String] {
        let sizes = unique(points.map(\.size))
        let inner = (
            width: panel.width - plot.left - plot.right,
            height: panel.height - plot.top - plot.bottom
        )
        func y(_ share: Double) -> Double {
            plot.top + inner.height * (1 - min(max(share, 0), 1))
        }
        var lines = [
            text("\(trace): share of recomputation saved", x: plot.left, y: 20, weight: "bold")
        ]
        for tick in [0, 0.25, 0.5, 0.75, 1] {
            lines.append(
                "<line x1=\"\(n(plot.left))\" x2=\"\(n(panel.width - plot.right))\" "
                    + "y1=\"\(n(y(tick)))\" y2=\"\(n(y(tick)))\" stroke=\"#dddddd\"/>"
                    + text("\(Int(tick * 100)) %", x: 8, y: y(tick) + 4))
        }
        let group = inner.width / Double(max(sizes.count, 1))
        let bar = group * 0.84 / Double(max(subjects.count, 1))
        for (place, size) in sizes.enumerated() {
            let left = plot.left + group * (Double(place) + 0.08)
            for point in points where point.size == size {
                if point.subject == bound {
                    lines.append(
                        "<line x1=\"\(n(left))\" x2=\"\(n(left + group * 0.84))\" "
                            + "y1=\"\(n(y(point.savedShare)))\" y2=\"\(n(y(point.savedShare)))\" "
                            + "stroke=\"black\" stroke-width=\"1.5\"/>")
                } else if let index = subjects.firstIndex(of: point.subject) {
                    let top = y(point.savedShare)
                    lines.append(
                        "<rect x=\"\(n(left + bar * Double(index)))\" y=\"\(n(top))\" "
                            + "width=\"\(n(bar * 0.9))\" height=\"\(n(y(0) - top))\" "
                            + "fill=\"\(colour(index))\"><title>\(escaped(point.subject)) "
                            + "\(n(point.savedShare * 100)) %</title></rect>")
                }
            }
            lines.append(text("cache \(size)", x: left, y: panel.height - 10))
        }
        return lines
    }

    private static func text(
        _ text: String, x: Double, y: Double, weight: String = "normal"
    ) -> String {
        "<text x=\"\(n(x))\" y=\"\(n(y))\" font-weight=\"\(weight)\">\(escaped(text))</text>"
    }

    private static func colour(_ index: Int) -> String { colours[index % colours.count] }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
    }

    private static func unique(_ names: [String]) -> [String] {
        names.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    private static func n(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(abs(tenths % 10))"
    }
}
