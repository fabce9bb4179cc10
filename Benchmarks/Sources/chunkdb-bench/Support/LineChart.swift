// Lines of points in panels, for a report's page: plain SVG, coloured by the page's style, as wide
// as a phone at most.

import Foundation

struct LineChart {
    struct Line: Sendable {
        let title: String
        /// In any order.
        var points: [(x: Double, y: Double)]
    }
    struct Panel: Sendable {
        let title: String
        var lines: [Line]
    }
    enum Scale {
        /// The values that occur, at equal distances: sizes that double, depths.
        case steps(text: (Double) -> String)
        /// 0 to 1.
        case share
    }

    let title: String
    /// What bars need not show again; of other charts the bars have whiskers.
    var metrics: Set<String> = []
    let scale: Scale
    let panels: [Panel]
    /// Of the vertical axis, which begins at 0.
    let text: (Double) -> String

    private static let size = (width: 400.0, height: 240.0)
    private static let inset = (left: 52.0, top: 8.0, right: 22.0, bottom: 22.0)
    /// As many as the style has colours; further ones are dashed.
    private static let colourCount = 8

    /// Empty where no line has two points.
    var html: String {
        let panels = panels.filter { panel in panel.lines.contains { $0.points.count > 1 } }
        guard !panels.isEmpty else { return "" }
        // One scale for all panels, so that they can be compared.
        let values = panels.flatMap(\.lines).flatMap(\.points).map(\.y).filter(\.isFinite)
        let top = Self.roundedUp(values.max() ?? 0)
        guard top > 0 else { return "" }
        // A name has one colour in all panels.
        var titles: [String] = []
        for line in panels.flatMap(\.lines) where !titles.contains(line.title) {
            titles.append(line.title)
        }
        let parts = panels.map { panel in
            (panel.title.isEmpty ? "" : "<h3>\(ReportPage.escaped(panel.title))</h3>\n")
                + drawn(panel, top, titles)
        }
        return "<h2>\(ReportPage.escaped(title))</h2>\n<div class=\"panels\">"
            + parts.map { "<div>\($0)</div>" }.joined(separator: "\n") + "</div>\n"
    }

    private func drawn(_ panel: Panel, _ top: Double, _ titles: [String]) -> String {
        func style(_ line: Line) -> String { Self.style(titles.firstIndex(of: line.title) ?? 0) }
        let steps = Set(panel.lines.flatMap(\.points).map(\.x)).sorted()
        func place(_ x: Double) -> Double {
            let share: Double
            switch scale {
            case .share: share = min(max(x, 0), 1)
            case .steps:
                let index = Double(steps.firstIndex(of: x) ?? 0)
                share = steps.count > 1 ? index / Double(steps.count - 1) : 0.5
            }
            return Self.inset.left + share * (Self.size.width - Self.inset.left - Self.inset.right)
        }
        func height(_ y: Double) -> Double {
            let inner = Self.size.height - Self.inset.top - Self.inset.bottom
            return Self.inset.top + inner * (1 - min(max(y / top, 0), 1))
        }
        let lines = panel.lines.map { line in
            let places = line.points.sorted { $0.x < $1.x }.map {
                "\(n(place($0.x))),\(n(height($0.y)))"
            }
            let dots = places.map { place -> String in
                let parts = place.split(separator: ",")
                return "<circle cx=\"\(parts[0])\" cy=\"\(parts[1])\" r=\"2\"/>"
            }
            return "<g class=\"\(style(line))\"><polyline points=\""
                + places.joined(separator: " ") + "\"/>" + dots.joined() + "</g>"
        }
        let legend = panel.lines.map { line in
            "<span><svg viewBox=\"0 0 16 6\"><g class=\"\(style(line))\">"
                + "<polyline points=\"0,3 16,3\"/></g></svg>"
                + "\(ReportPage.escaped(line.title))</span>"
        }
        return "<div class=\"curves\"><svg viewBox=\"0 0 \(n(Self.size.width)) "
            + "\(n(Self.size.height))\" role=\"img\">\n" + grid(steps, top, place, height) + "\n"
            + lines.joined(separator: "\n") + "</svg>\n<div class=\"legend\">"
            + legend.joined(separator: "\n") + "</div></div>"
    }

    private func grid(
        _ steps: [Double], _ top: Double, _ place: (Double) -> Double,
        _ height: (Double) -> Double
    ) -> String {
        let (left, right) = (Self.inset.left, Self.size.width - Self.inset.right)
        let rows = (0...4).map { quarter -> String in
            let value = top * Double(quarter) / 4
            return "<path class=\"grid\" d=\"M\(n(left)) \(n(height(value)))H\(n(right))\"/>"
                + "<text x=\"\(n(left - 4))\" y=\"\(n(height(value)))\" dy=\"4\" "
                + "text-anchor=\"end\">\(ReportPage.escaped(text(value)))</text>"
        }
        let columns: [(Double, String)] =
            switch scale {
            case .share:
                [0, 0.25, 0.5, 0.75, 1].map { ($0, "\(Int($0 * 100)) %") }
            case .steps(let text):
                // Words of eight letters do not meet.
                steps.enumerated().filter {
                    $0.offset.isMultiple(of: max(1, (steps.count + 5) / 6))
                }
                .map { ($0.element, text($0.element)) }
            }
        let marks = columns.map { value, text in
            "<path class=\"grid\" d=\"M\(n(place(value))) \(n(Self.inset.top))"
                + "V\(n(Self.size.height - Self.inset.bottom))\"/>"
                + "<text x=\"\(n(place(value)))\" y=\"\(n(Self.size.height - 6))\" "
                + "text-anchor=\"middle\">\(ReportPage.escaped(text))</text>"
        }
        return (rows + marks).joined(separator: "\n")
    }

    static func style(_ index: Int) -> String {
        "c\(index % colourCount)" + (index / colourCount % 2 == 1 ? " dashed" : "")
    }

    /// The next of 1, 2, 4, 5 or 10 times a power of ten, whose quarters are easily read.
    static func roundedUp(_ value: Double) -> Double {
        guard value > 0, value.isFinite else { return 0 }
        let power = pow(10, floor(log10(value)))
        return ([1, 2, 4, 5, 8, 10].map { $0 * power }.first { $0 >= value * 0.999_999 })
            ?? 10 * power
    }

    private func n(_ value: Double) -> String { String(format: "%.1f", value) }
}
