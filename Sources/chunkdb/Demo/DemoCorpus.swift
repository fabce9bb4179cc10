import Foundation

/// Prompts as token ids: chunks, a question, and the answer if it is known.
struct DemoCorpus {
    struct Prompt {
        var chunks: [[UInt32]]
        var question: [UInt32]
        var answer: UInt32?
    }

    private struct Line: Decodable {
        var chunks: [[UInt32]]?
        var document: [UInt32]?
        var question: [UInt32]
        var answer: UInt32?
    }

    let path: String
    let prompts: [Prompt]

    /// Reads one JSON object a line. *Throws:* the file, the line and what is wrong with it.
    init(path: String, chunkTokens: Int, limit: Int?) throws(ShellError) {
        self.path = path
        guard let data = FileManager.default.contents(atPath: path) else {
            throw ShellError(.cannotOpen, "\(path): cannot be read")
        }
        var prompts: [Prompt] = []
        for (index, line) in data.split(separator: UInt8(ascii: "\n")).enumerated() {
            if let limit, prompts.count == limit { break }
            prompts.append(
                try Self.prompt(line, chunkTokens: chunkTokens, place: "\(path):\(index + 1)"))
        }
        guard !prompts.isEmpty else { throw ShellError(.cannotOpen, "\(path): no questions") }
        self.prompts = prompts
    }

    private static func prompt(_ line: Data, chunkTokens: Int, place: String)
        throws(ShellError) -> Prompt
    {
        let parsed: Line
        do {
            parsed = try JSONDecoder().decode(Line.self, from: line)
        } catch {
            throw ShellError(
                .cannotOpen, "\(place): expected {\"chunks\" or \"document\", \"question\"}")
        }
        let document = parsed.document ?? []
        let cut = stride(from: 0, to: document.count, by: chunkTokens).map {
            Array(document[$0..<min($0 + chunkTokens, document.count)])
        }
        let chunks = (parsed.chunks ?? cut).filter { !$0.isEmpty }
        guard !chunks.isEmpty, !parsed.question.isEmpty else {
            throw ShellError(.cannotOpen, "\(place): needs at least one chunk and a question")
        }
        return Prompt(chunks: chunks, question: parsed.question, answer: parsed.answer)
    }
}
