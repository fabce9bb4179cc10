// Tables and lists of facts with aligned columns. Every cell is made printable here, so no verb can
// forget it.

/// Rows under a header; columns as wide as their widest cell, two spaces between.
struct Table {
    enum Alignment {
        case left
        case right
    }

    private let columns: [(title: String, alignment: Alignment)]
    private var rows: [[String]] = []

    init(_ columns: [(title: String, alignment: Alignment)]) { self.columns = columns }

    var isEmpty: Bool { rows.isEmpty }

    mutating func add(_ cells: [String]) {
        precondition(cells.count == columns.count)
        rows.append(cells.map { printable($0) })
    }

    func print(on console: Console) {
        let widths = columns.indices.map { column in
            rows.reduce(columnCount(columns[column].title)) { max($0, columnCount($1[column])) }
        }
        console.print(console.painted(line(columns.map(\.title), widths), .bold))
        for row in rows { console.print(line(row, widths)) }
    }

    private func line(_ cells: [String], _ widths: [Int]) -> String {
        var text = ""
        for (column, cell) in cells.enumerated() {
            let gap = String(repeating: " ", count: widths[column] - columnCount(cell))
            if column > 0 { text += "  " }
            switch columns[column].alignment {
            case .left: text += cell + gap
            case .right: text += gap + cell
            }
        }
        while text.last == " " { text.removeLast() }
        return text
    }
}

/// `name   value` lines.
struct Facts {
    private var rows: [(name: String, value: String, colour: Colour?)] = []
    private let indent: String

    init(indent: String = "") { self.indent = indent }

    mutating func add(_ name: String, _ value: String, _ colour: Colour? = nil) {
        rows.append((name, printable(value), colour))
    }

    func print(on console: Console) {
        let width = rows.reduce(0) { max($0, columnCount($1.name)) }
        for row in rows {
            let name = row.name + String(repeating: " ", count: width - columnCount(row.name))
            let value = row.colour.map { console.painted(row.value, $0) } ?? row.value
            console.print("\(indent)\(console.painted(name, .dim))  \(value)")
        }
    }
}

/// `1 chunk`, `2 chunks`.
func counted(_ count: some BinaryInteger, _ singular: String, _ plural: String? = nil) -> String {
    "\(count) \(count == 1 ? singular : plural ?? singular + "s")"
}
