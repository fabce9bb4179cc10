// Chunks side by side (APE, arXiv 2502.05431; FUSION, mode `parallel`): all begin at one position
// behind a shared prefix and do not see each other, so any of them can be reused without repair.
//
//     row        0 … p │ p … a │ a … b │ b … q │ q …
//     what       prefix│chunk 1│chunk 2│chunk 3│ question, generated
//     position   0 …   │ p …   │ p …   │ p …   │ p + longest …
//
// A later row sees all of them, but its softmax is taken in two parts, the chunks at a temperature,
// and the parts are merged by their log-sum-exp.

/// Which spans of a prompt stand side by side, and how later rows look at them.
public struct ParallelBlock: Sendable, Hashable {
    /// Indices of the spans; they have one start, and a span must follow.
    public var spans: Range<Int>
    /// T: scores on the chunks are divided by it. 1 and a scale of 1 are plain attention.
    public var temperature: Float
    /// S: the chunks' log-sum-exp is multiplied by S·T before the parts are merged.
    public var scale: Float
    public init(spans: Range<Int>, temperature: Float = 0.9, scale: Float = 0.9) {
        self.spans = spans
        self.temperature = temperature
        self.scale = scale
    }
}

/// The rows of a block in one prompt.
struct ParallelRows: Sendable, Hashable {
    let rows: Range<Int>
    /// The first row of the chunk that each row of the block is in.
    let starts: [Int]
    let temperature: Float
    let scale: Float

    init(_ block: ParallelBlock, spanRows: [Int]) {
        rows = spanRows[block.spans.lowerBound]..<spanRows[block.spans.upperBound]
        starts = block.spans.flatMap { span in
            Array(repeating: spanRows[span], count: spanRows[span + 1] - spanRows[span])
        }
        temperature = block.temperature
        scale = block.scale
    }

    /// Rows of other chunks in front, which a row of the block does not see.
    func hidden(from row: Int) -> Range<Int> {
        rows.lowerBound..<starts[row - rows.lowerBound]
    }
}

extension BlendedPrefill {
    /// *Throws:* `parallelRefused`.
    static func check(
        _ block: ParallelBlock, spans: [PromptSpan], _ shape: ModelConfiguration
    ) throws(AttentionError) {
        func require(_ condition: Bool, _ reason: String) throws(AttentionError) {
            if !condition { throw .parallelRefused(reason) }
        }
        try require(
            block.spans.lowerBound >= 0 && !block.spans.isEmpty
                && block.spans.upperBound < spans.count
                && spans[block.spans.upperBound...].contains { !$0.tokens.isEmpty },
            "spans \(block.spans) are not in front of another of \(spans.count)")
        let start = spans[block.spans.lowerBound].start
        try require(
            spans[block.spans].allSatisfy { $0.start == start },
            "chunks side by side begin at one position")
        try require(
            block.temperature.isFinite && block.temperature > 0 && block.scale.isFinite
                && block.scale > 0, "temperature and scale are positive")
        try require(
            shape.windowTokenCount == nil, "a window counts positions that chunks would share")
    }
}
