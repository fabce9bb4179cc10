// A weight matrix in the order the kernel reads it: panels of eight outputs, each panel input
// after input. Packing costs once what every later product saves.

/// `outputCount × inputCount` weights, y = W · x, in panels of eight outputs.
struct PackedMatrix: Sendable {
    let outputCount: Int
    let inputCount: Int
    /// `[panel][input][8]`; lanes past the last output are zero.
    let panels: [Float]

    var panelCount: Int { (outputCount + 7) / 8 }
    var layout: PanelLayout { PanelLayout(panelStride: inputCount * 8, stepStride: 8) }

    /// From row-major `[output][input]`, as checkpoints store it.
    init(_ weights: [Float], outputCount: Int, inputCount: Int) {
        precondition(weights.count == outputCount * inputCount)
        self.outputCount = outputCount
        self.inputCount = inputCount
        var packed = [Float](repeating: 0, count: (outputCount + 7) / 8 * inputCount * 8)
        for output in 0..<outputCount {
            let source = output * inputCount
            let target = output / 8 * inputCount * 8 + output % 8
            for input in 0..<inputCount { packed[target + input * 8] = weights[source + input] }
        }
        panels = packed
    }
}
