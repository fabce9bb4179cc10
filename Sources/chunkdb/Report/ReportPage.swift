// The report as one HTML file that needs nothing else: no scripts, no fonts, no network, which its
// content policy also says to the browser. Light and dark follow the reader's system. Everything
// that came from the store passes `escaped`.

import Foundation
import Primitives

struct ReportPage {
    let info: InfoReport
    let segments: [SegmentMap.Segment]
    let freeFiles: [String]
    let space: SpaceReport
    let histograms: [Histogram]
    let history: SpaceHistory?
    let madeSeconds: UInt64

    /// Text in HTML: nothing in it is a tag, and nothing commands a terminal either.
    static func escaped(_ text: some StringProtocol) -> String {
        var result = ""
        for character in printable(text) {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.append(character)
            }
        }
        return result
    }

    var html: String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
        style-src 'unsafe-inline'">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>\(Self.escaped(info.path)) – ChunkDB</title>
        <style>
        \(Self.style)
        </style>
        </head>
        <body>
        <h1>\(Self.escaped(info.path))</h1>
        <p class="quiet">ChunkDB store \(Self.escaped(info.storeID)), format version \
        \(info.formatVersion); report of \(timeText(madeSeconds))</p>
        \(health)
        \(facts)
        \(spaceTable)
        \(segmentMap)
        \(history?.html ?? "")
        \(histograms.map(figure).joined(separator: "\n"))
        \(namespaces)
        </body>
        </html>

        """
    }

    private static let style = """
        :root { color-scheme: light dark; --ground: #fff; --ink: #1b1f24; --quiet: #59636e;
          --line: #d1d9e0; --live: #1a7f64; --dead: #bf6a02; --ahead: #d8dee4; --bad: #b3261e; }
        @media (prefers-color-scheme: dark) {
          :root { --ground: #14171a; --ink: #e6e8ea; --quiet: #9aa4ae; --line: #353b42;
            --live: #3fb896; --dead: #e39b3f; --ahead: #333a41; --bad: #ff8a80; } }
        body { background: var(--ground); color: var(--ink); margin: 0 auto; padding: 1rem;
          max-width: 60rem; font: 15px/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
        h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; }
        .quiet { color: var(--quiet); margin: .2rem 0; } .bad { color: var(--bad); }
        .scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
        td, th { text-align: left; padding: .15rem .6rem .15rem 0; vertical-align: top;
          border-bottom: 1px solid var(--line); }
        th { font-weight: 600; white-space: nowrap; } .bars { table-layout: fixed; }
        .number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
        .bars .label { width: 8.5rem; } .bars .number { width: 5.5rem; padding-right: 0; }
        .bar { vertical-align: middle; }
        .bar div { background: var(--live); height: .8rem; border-radius: 2px; min-width: 1px; }
        svg { display: block; width: 100%; height: .9rem; margin: .15rem 0 .5rem; }
        .live { fill: var(--live); } .dead { fill: var(--dead); } .ahead { fill: var(--ahead); }
        svg.chart { height: 9rem; border-bottom: 1px solid var(--line); }
        .over-time { fill: none; stroke-width: 1.6; vector-effect: non-scaling-stroke; }
        .over-time.live { stroke: var(--live); } .over-time.dead { stroke: var(--dead); }
        .over-time.quiet { stroke: var(--quiet); }
        .key { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px;
          vertical-align: -1px; margin-right: .3rem; }
        .item { display: inline-block; white-space: nowrap; margin-right: .8rem; }
        """

    // MARK: Parts

    private var health: String {
        let damages = info.recovery.damages
        if damages.isEmpty { return "<p>No damage seen; <code>verify</code> reads everything.</p>" }
        let rows = damages.map { "<li>\(Self.escaped($0.text))</li>" }.joined(separator: "\n")
        return "<p class=\"bad\">\(counted(damages.count, "damaged place"))</p>\n<ul>\(rows)</ul>"
    }

    private func table(_ rows: [(String, String)]) -> String {
        let cells = rows.map {
            "<tr><th>\(Self.escaped($0.0))</th><td>\(Self.escaped($0.1))</td></tr>"
        }
        return "<table>\(cells.joined(separator: "\n"))</table>"
    }

    private var facts: String {
        let amplification = space.amplification.map {
            "; \(($0 * 1_000).rounded() / 1_000) bytes for a byte of planes"
        }
        return table([
            (
                "Holds",
                "\(counted(info.variantCount, "variant")) of \(counted(info.chunkCount, "chunk")), "
                    + "\(ByteCount(info.diskBytes)) on disk"
            ),
            (
                "Space",
                "\(ByteCount(info.allocatedBytes)) allocated of \(ByteCount(info.capacityBytes)) "
                    + "capacity" + (amplification ?? "")
            ),
            ("Made", timeText(info.createdSeconds)),
            ("Commits", "\(info.commits.last), flushed up to \(info.commits.synced)"),
            (
                "Recovery",
                info.recovery.checkpointIgnored.map { "checkpoint not used: \($0)" }
                    ?? "checkpoint used, \(info.recovery.replayedCommitCount) commits since"
            ),
        ])
    }

    private var spaceTable: String {
        let parts: [(String, UInt64)] =
            [
                ("living planes", space.planeBytes),
                ("their headers and padding", space.headerBytes),
                ("dead, segment headers, commits", space.deadBytes),
                ("allocated ahead", space.unwrittenBytes), ("free segments", space.freeBytes),
            ] + space.files.map { ($0.file, $0.bytes) }
        let largest = parts.reduce(1) { max($0, $1.1) }
        let rows = parts.map {
            bar($0.0, "\(ByteCount($0.1))", share: Double($0.1) / Double(largest))
        }
        return "<h2>Where the bytes are</h2>\n<table class=\"bars\">"
            + rows.joined(separator: "\n") + "</table>"
    }

    /// A colour and what it means, kept together.
    static func key(_ kind: String, _ text: String) -> String {
        "<span class=\"item\"><span class=\"key\" style=\"background:var(--\(kind))\"></span>"
            + "\(escaped(text))</span> "
    }

    private func bar(_ label: String, _ value: String, share: Double) -> String {
        let width = (share * 1_000).rounded() / 10
        let fill = share > 0 ? "<div style=\"width:\(width)%\"></div>" : ""
        return "<tr><td class=\"label\">\(Self.escaped(label))</td>"
            + "<td class=\"bar\">\(fill)</td><td class=\"number\">\(Self.escaped(value))</td></tr>"
    }

    private func figure(_ histogram: Histogram) -> String {
        let title = "<h2>\(Self.escaped(histogram.title))</h2>"
        if histogram.buckets.isEmpty { return title + "\n<p class=\"quiet\">Nothing known.</p>" }
        let rows = histogram.buckets.map {
            bar(
                $0.label, "\($0.count)",
                share: Double($0.count) / Double(max(histogram.largestCount, 1)))
        }
        return title + "\n<p class=\"quiet\">\(Self.escaped(histogram.unit))</p>"
            + "\n<table class=\"bars\">\(rows.joined(separator: "\n"))</table>"
    }

    private static let pieceCount = 96
    /// More would be read by nobody, and make the page large.
    private static let segmentCountMax = 512

    private var segmentMap: String {
        let keys = [("live", "living"), ("dead", "dead"), ("ahead", "not written")].map {
            Self.key($0.0, $0.1)
        }
        let rows = segments.prefix(Self.segmentCountMax).map { segment in
            let pieces = segment.pieces(Self.pieceCount).enumerated().map { index, piece in
                let dead = max(piece.used - piece.live, 0)
                // Most of a piece gives it its colour.
                let kind = piece.live >= 0.5 ? "live" : piece.live + dead >= 0.5 ? "dead" : "ahead"
                return (index, kind)
            }
            var rects = ""
            var start = 0
            for (index, kind) in pieces {
                let isLast = index + 1 == pieces.count
                if isLast || pieces[index + 1].1 != kind {
                    rects +=
                        "<rect class=\"\(kind)\" x=\"\(start)\" y=\"0\" "
                        + "width=\"\(index + 1 - start)\" height=\"8\"/>"
                    start = index + 1
                }
            }
            let text =
                "\(segment.file), use \(segment.useSequence): "
                + "\(ByteCount(segment.liveBytes)) living, \(ByteCount(segment.deadBytes)) dead"
            return "<p class=\"quiet\">\(Self.escaped(text))</p>\n<svg viewBox=\"0 0 "
                + "\(Self.pieceCount) 8\" preserveAspectRatio=\"none\" role=\"img\">"
                + "<title>\(Self.escaped(text))</title>\(rects)</svg>"
        }
        let more = segments.count - Self.segmentCountMax
        let rest = more > 0 ? "\n<p class=\"quiet\">… and \(more) more</p>" : ""
        let free =
            freeFiles.isEmpty
            ? "" : "\n<p class=\"quiet\">\(counted(freeFiles.count, "free segment"))</p>"
        return "<h2>Segments, oldest use first</h2>\n<p>\(keys.joined())</p>\n"
            + rows.joined(separator: "\n") + rest + free
    }

    private var namespaces: String {
        let rows = info.namespaces.map { space in
            let model = space.model.map {
                "\($0.name): \(counted($0.layerCount, "layer")) of \($0.shapeText), "
                    + $0.elementType
            }
            return "<tr><td>\(Self.escaped(space.name))</td>"
                + "<td class=\"number\">\(space.chunkCount)</td>"
                + "<td class=\"number\">\(space.variantCount)</td>"
                + "<td class=\"number\">\(Self.escaped("\(ByteCount(space.diskBytes))"))</td>"
                + "<td>\(Self.escaped(model ?? "unknown"))</td></tr>"
        }
        return "<h2>Namespaces</h2>\n<div class=\"scroll\"><table><tr><th>Name</th>"
            + "<th class=\"number\">Chunks</th><th class=\"number\">Variants</th>"
            + "<th class=\"number\">Size</th><th>Model</th></tr>\n"
            + rows.joined(separator: "\n") + "</table></div>"
    }
}
