// Lines of points in panels, two in a row, as plain SVG.

import Foundation

enum CurvePlot {
    struct Point {
        /// The title of its panel.
        var panel: String
        var line: String
        var x: Double
        var y: Double
    }

    private static let colours = [
        "#555555", "#000000", "#9aa5b1", "#1b6ca8", "#5b8c5a", "#a2577a", "#c9a227", "#d1704a",
        "#7a5bbf", "#2aa198", "#cc3344", "#8c564b", "#e377c2", "#3b7d23",
    ]
    private static let panel = (width: 460.0, height: 340.0)
    private static let inset = (left: 48.0, top: 32.0, right: 12.0, bottom: 36.0)

    private static let columnCount = 2

    static func write(_ points: [Point], xTitle: String, to path: String) throws {
        do {
            try svg(points, xTitle: xTitle).write(
                toFile: path, atomically: true, encoding: .utf8)
        } catch {
            throw BenchmarkError.world("\(path): \(error.localizedDescription)")
        }
    }

    /// Both axes run from 0 to 1.
    static func svg(_ points: [Point], xTitle: String) -> String {
        let panels = unique(points.map(\.panel))
        let lines = unique(points.map(\.line))
        let rowCount = (panels.count + columnCount - 1) / columnCount
        // The last tick's text ends beyond its panel.
        let width = Double(min(panels.count, columnCount)) * panel.width + inset.right
        let legendTop = Double(rowCount) * panel.height
        let height = legendTop + 18 * Double((lines.count + 2) / 3) + 12
        var text = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(n(width))\" "
                + "height=\"\(n(height))\" viewBox=\"0 0 \(n(width)) \(n(height))\" "
                + "font-family=\"sans-serif\" font-size=\"11\">",
            "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
        ]
        for (place, name) in panels.enumerated() {
            let left = Double(place % columnCount) * panel.width
            let top = Double(place / columnCount) * panel.height
            text.append("<g transform=\"translate(\(n(left)) \(n(top)))\">")
            text += axes(name, xTitle)
            for (index, line) in lines.enumerated() {
                text += drawn(
                    points.filter { $0.panel == name && $0.line == line }, colour(index))
            }
            text.append("</g>")
        }
        for (index, line) in lines.enumerated() {
            let x = inset.left + 300 * Double(index % 3)
            let y = legendTop + 18 * Double(index / 3) + 8
            text.append(
                "<rect x=\"\(n(x))\" y=\"\(n(y))\" width=\"10\" height=\"10\" "
                    + "fill=\"\(colour(index))\"/>" + label(line, x + 14, y + 9))
        }
        return (text + ["</svg>", ""]).joined(separator: "\n")
    }

    private static func x(_ value: Double) -> Double {
        inset.left + (panel.width - inset.left - inset.right) * min(max(value, 0), 1)
    }
    private static func y(_ value: Double) -> Double {
        let inner = panel.height - inset.top - inset.bottom
        return inset.top + inner * (1 - min(max(value, 0), 1))
    }

    private static func axes(_ title: String, _ xTitle: String) -> [String] {
        var text = [
            label(title, inset.left, 20, weight: "bold"),
            label(xTitle, inset.left, panel.height - 4),
        ]
        for tick in [0, 0.25, 0.5, 0.75, 1] {
            text.append(
                "<path d=\"M\(n(x(0))) \(n(y(tick)))H\(n(x(1)))M\(n(x(tick))) \(n(y(0)))"
                    + "V\(n(y(1)))\" stroke=\"#dddddd\" fill=\"none\"/>"
                    + label("\(Int(tick * 100)) %", 8, y(tick) + 4)
                    + label("\(Int(tick * 100)) %", x(tick) - 10, y(0) + 14))
        }
        return text
    }

    private static func drawn(_ points: [Point], _ colour: String) -> [String] {
        let places = points.sorted { $0.x < $1.x }.map { (x($0.x), y($0.y)) }
        guard let first = places.first else { return [] }
        let path = places.dropFirst().reduce("M\(n(first.0)) \(n(first.1))") {
            $0 + "L\(n($1.0)) \(n($1.1))"
        }
        return [
            "<path d=\"\(path)\" stroke=\"\(colour)\" stroke-width=\"1.5\" fill=\"none\"/>"
        ]
            + places.map {
                "<circle cx=\"\(n($0.0))\" cy=\"\(n($0.1))\" r=\"2.5\" fill=\"\(colour)\"/>"
            }
    }

    private static func label(
        _ text: String, _ x: Double, _ y: Double, weight: String = "normal"
    ) -> String {
        let escaped = text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
        return "<text x=\"\(n(x))\" y=\"\(n(y))\" font-weight=\"\(weight)\">\(escaped)</text>"
    }

    private static func colour(_ index: Int) -> String { colours[index % colours.count] }

    private static func unique(_ names: [String]) -> [String] {
        names.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    private static func n(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(abs(tenths % 10))"
    }
}
