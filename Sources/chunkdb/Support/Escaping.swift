// Text that came from a store was written by strangers: a namespace may be called ESC ] 0 ; … and a
// terminal would obey. Nothing stored is printed before it went through here.

/// The text with everything that is not plainly visible written as `\u{…}`: controls, direction
/// marks and other invisible format characters, line separators, unassigned and private scalars.
func printable(_ text: some StringProtocol) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        if scalar.isPlain {
            result.unicodeScalars.append(scalar)
        } else {
            result += "\\u{\(String(scalar.value, radix: 16))}"
        }
    }
    return result
}

/// The same for text that is JSON already: what is not plain can only stand inside strings, where
/// `\uXXXX` means the same. Line ends between tokens stay.
func printableJSON(_ json: String) -> String {
    var result = ""
    for scalar in json.unicodeScalars {
        if scalar.isPlain || scalar == "\n" {
            result.unicodeScalars.append(scalar)
            continue
        }
        for unit in String(scalar).utf16 {
            let digits = String(unit, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
    }
    return result
}

extension Unicode.Scalar {
    fileprivate var isPlain: Bool {
        if isASCII { return (0x20..<0x7F).contains(value) }
        switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
            .paragraphSeparator:
            return false
        default: return true
        }
    }

    /// Columns a terminal gives to it; East Asian wide forms and pictures take two.
    fileprivate var columnCount: Int {
        switch properties.generalCategory {
        case .nonspacingMark, .enclosingMark: return 0
        default: break
        }
        switch value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF,
            0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F,
            0x1F900...0x1F9FF, 0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }
}

/// Terminal columns of printable text.
func columnCount(_ text: String) -> Int {
    text.unicodeScalars.reduce(0) { $0 + $1.columnCount }
}
