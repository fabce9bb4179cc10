// A typed line as words, with the quoting that people expect of a shell, and no more: no
// variables, no globs, no pipes.

/// Quoting for the session's lines.
enum LineWords {
    /// Words are separated by blanks. `'…'` is literal; in `"…"` and outside a backslash takes the
    /// next character as it is, and `\u{1b}` is a character by number, as `ls` shows those that do
    /// not print. *Throws:* `.usage` for what is not closed.
    static func split(_ line: String) throws(ShellError) -> [String] {
        var words: [String] = []
        var word: String?
        var quote: Unicode.Scalar?
        // Scalars: a mark that combines with a quote takes nothing from what the quote means.
        var rest = line.unicodeScalars[...]
        while let character = rest.popFirst() {
            if let open = quote, character == open {
                quote = nil
            } else if character == "\\", quote != "'" {
                word = (word ?? "") + (try escaped(&rest))
            } else if quote != nil {
                word = (word ?? "") + String(character)
            } else if character == "'" || character == "\"" {
                quote = character
                word = word ?? ""
            } else if character.properties.isWhitespace {
                if let word { words.append(word) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        if let quote { throw ShellError(.usage, "\(quote) is not closed") }
        if let word { words.append(word) }
        return words
    }

    private static func escaped(_ rest: inout Substring.UnicodeScalarView) throws(ShellError)
        -> String
    {
        if rest.starts(with: "u{".unicodeScalars), let end = rest.firstIndex(of: "}") {
            let digits = String(rest[..<end].dropFirst(2))
            guard let value = UInt32(digits, radix: 16), let scalar = Unicode.Scalar(value) else {
                throw ShellError(.usage, "\\u{\(digits)} is no character")
            }
            rest = rest[end...].dropFirst()
            return String(scalar)
        }
        guard let next = rest.popFirst() else {
            throw ShellError(.usage, "nothing follows the last backslash")
        }
        return String(next)
    }

    /// A word that `split` reads back as `word`, and that a terminal can show.
    static func quoted(_ word: String) -> String {
        let isPlain =
            !word.isEmpty
            && word.unicodeScalars.allSatisfy { scalar in
                scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
                    || "-_.:/#@+,=%".unicodeScalars.contains(scalar)
            }
        if isPlain { return word }
        var inside = ""
        for scalar in word.unicodeScalars {
            if scalar == "\"" || scalar == "\\" { inside += "\\" }
            inside += scalar == "\"" || scalar == "\\" ? String(scalar) : printable(String(scalar))
        }
        return "\"\(inside)\""
    }
}
