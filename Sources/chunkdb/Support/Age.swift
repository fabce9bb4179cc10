import ArgumentParser

/// A span of time as people type it: `90s`, `15m`, `12h`, `7d`, `4w`.
struct Age: ExpressibleByArgument, Hashable {
    let seconds: UInt64

    init?(argument: String) {
        let units: [Character: UInt64] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800]
        guard let unit = argument.last.flatMap({ units[$0] }),
            let count = UInt64(argument.dropLast())
        else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: unit)
        guard !overflow else { return nil }
        seconds = product
    }
}

/// A number of bytes as people type it: `4096`, `64KiB`, `1.5GiB`; a unit may lack its `iB`.
struct SizeArgument: ExpressibleByArgument, Hashable {
    let bytes: UInt64

    init?(argument: String) {
        let shifts: [(String, Double)] = [
            ("K", 0x1p10), ("M", 0x1p20), ("G", 0x1p30), ("T", 0x1p40),
        ]
        var text = argument
        var unit = 1.0
        for (letter, factor) in shifts {
            for ending in ["\(letter)iB", letter] where text.hasSuffix(ending) && unit == 1 {
                text = String(text.dropLast(ending.count))
                unit = factor
            }
        }
        guard text.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }),
            let number = Double(text), number * unit < 0x1p62
        else { return nil }
        bytes = UInt64(number * unit)
    }
}
