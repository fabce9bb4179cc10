import ArgumentParser

/// A size on the command line: `4096`, `64KiB`, `1MiB`, `2GiB`.
struct ByteSize: ExpressibleByArgument, CustomStringConvertible, Sendable {
    let byteCount: Int

    init(_ byteCount: Int) { self.byteCount = byteCount }

    init?(argument: String) {
        let text = argument.filter { $0 != " " }
        let digits = text.prefix { $0.isNumber }
        let units = ["": 0, "b": 0, "kib": 10, "k": 10, "mib": 20, "m": 20, "gib": 30, "g": 30]
        guard let value = Int(digits), value > 0,
            let shift = units[text.dropFirst(digits.count).lowercased()],
            value <= Int.max >> (shift + 1)
        else { return nil }
        byteCount = value << shift
    }

    var description: String {
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)]
        where byteCount.isMultiple(of: 1 << shift) {
            return "\(byteCount >> shift)\(unit)"
        }
        return "\(byteCount)"
    }
    var defaultValueDescription: String { description }
}
