// Space over time, for the report: what `watch --json` saw, drawn. The file may be anybody's, so
// nothing in it is believed but numbers, and those only of this store.

import Foundation
import Primitives

struct SpaceHistory {
    struct Sample: Equatable {
        var seconds: UInt64
        var livingBytes: UInt64
        var allocatedBytes: UInt64
        var capacityBytes: UInt64
        /// Of the reads since the sample before; absent when there were none.
        var hitShare: Double?
    }
    /// In order of time.
    let samples: [Sample]

    private struct File: Decodable {
        struct Sample: Decodable {
            var writtenSeconds: UInt64
            var gauges: [String: UInt64]
            var hitShare: Double?
        }
        var verb: String
        var storeID: String
        var samples: [Sample]
    }

    static let bytesMax = 256 << 20

    /// *Throws:* `.cannotOpen` for a file that cannot be read, `.usage` for what it says.
    init(path: String, storeID: String) throws(ShellError) {
        guard let bytes = SmallFile.bytes(path, maximum: Self.bytesMax) else {
            throw ShellError(.cannotOpen, SmallFile.reason(path, maximum: Self.bytesMax))
        }
        guard let file = try? JSONDecoder().decode(File.self, from: Data(bytes)),
            file.verb == "watch"
        else { throw ShellError(.usage, "\(path): not what watch --json prints") }
        guard file.storeID == storeID else {
            throw ShellError(
                .usage, "\(path): of store \(printable(file.storeID)), not of \(storeID)")
        }
        samples = file.samples.map {
            Sample(
                seconds: $0.writtenSeconds, livingBytes: $0.gauges["livingBytes"] ?? 0,
                allocatedBytes: $0.gauges["allocatedBytes"] ?? 0,
                capacityBytes: $0.gauges["capacityBytes"] ?? 0, hitShare: $0.hitShare)
        }.sorted { $0.seconds < $1.seconds }
    }

    init(samples: [Sample]) { self.samples = samples }

    private static let size = (width: 400.0, height: 140.0)
    /// More than the eye, or a screen, tells apart.
    private static let pointCountMax = 400

    var html: String {
        guard samples.count > 1, let first = samples.first, let last = samples.last else {
            return "<h2>Space over time</h2>\n<p class=\"quiet\">Fewer than two samples.</p>"
        }
        let points = stride(from: 0, to: samples.count - 1, by: step).map { samples[$0] } + [last]
        let top = points.reduce(1) { max($0, $1.allocatedBytes, $1.capacityBytes, $1.livingBytes) }
        func line(_ kind: String, _ value: (Sample) -> UInt64) -> String {
            drawn(points, kind) { Double(value($0)) / Double(top) }
        }
        let space = [
            line("quiet", \.capacityBytes), line("dead", \.allocatedBytes),
            line("live", \.livingBytes),
        ]
        let keys =
            ReportPage.key("quiet", "capacity, \(ByteCount(last.capacityBytes))")
            + ReportPage.key("dead", "allocated, \(ByteCount(last.allocatedBytes))")
            + ReportPage.key("live", "living, \(ByteCount(last.livingBytes))")
        let span = "\(timeText(first.seconds)) to \(timeText(last.seconds))"
        var html =
            "<h2>Space over time</h2>\n<p>\(keys)</p>\n" + figure(space)
            + "<p class=\"quiet\">\(span); from 0 to \(ByteCount(top))</p>"
        let hits = points.filter { $0.hitShare != nil }
        if hits.count > 1 {
            html +=
                "\n<h2>Reads that found their chunk, over time</h2>\n"
                + figure([drawn(hits, "live") { min(max($0.hitShare ?? 0, 0), 1) }])
                + "<p class=\"quiet\">\(span); from 0 to 100 %</p>"
        }
        return html
    }

    private var step: Int { max(1, samples.count / Self.pointCountMax) }

    private func figure(_ lines: [String]) -> String {
        "<svg class=\"chart\" viewBox=\"0 0 \(Int(Self.size.width)) \(Int(Self.size.height))\" "
            + "preserveAspectRatio=\"none\" role=\"img\">\(lines.joined())</svg>\n"
    }

    /// Shares of the height, over time.
    private func drawn(_ points: [Sample], _ kind: String, _ share: (Sample) -> Double) -> String {
        let start = samples.first?.seconds ?? 0
        let span = Double(max((samples.last?.seconds ?? 0) - start, 1))
        let places = points.map { point -> String in
            let x = Double(point.seconds - start) / span * Self.size.width
            let y = (1 - share(point)) * (Self.size.height - 4) + 2
            return String(format: "%.1f,%.1f", x, y)
        }
        return "<polyline class=\"over-time \(kind)\" points=\"\(places.joined(separator: " "))\"/>"
    }
}
