// The arithmetic below the layers.

import Foundation
import KVModel
import Primitives
import Testing

@testable import Attention

@Suite("Kernels")
struct KernelTests {
    private func random(_ count: Int, seed: UInt64) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in Float.random(in: -1...1, using: &generator) }
    }

    @Test(
        "products of every shape, against sums in double precision",
        arguments: [(1, 1, 1), (4, 8, 8), (5, 9, 3), (7, 17, 33), (9, 40, 600), (3, 5, 1_100)])
    func products(rows: Int, outputs: Int, inputs: Int) {
        let a = random(rows * inputs, seed: 1)
        let w = random(outputs * inputs, seed: 2)
        let matrix = PackedMatrix(w, outputCount: outputs, inputCount: inputs)
        var c = [Float](repeating: .nan, count: rows * outputs + 1)
        matrix.apply(a, rows, into: &c)
        for row in 0..<rows {
            for output in 0..<outputs {
                let exact = (0..<inputs).reduce(0.0) {
                    $0 + Double(a[row * inputs + $1]) * Double(w[output * inputs + $1])
                }
                #expect((Double(c[row * outputs + output]) - exact).magnitude < 1e-4)
            }
        }
        #expect(c[rows * outputs].isNaN, "wrote past the end")
        // Invariant: one row alone has the bits it has among others.
        var alone = [Float](repeating: 0, count: outputs)
        matrix.apply(Array(a[((rows - 1) * inputs)...]), 1, into: &alone)
        #expect(alone == Array(c[((rows - 1) * outputs)..<(rows * outputs)]))
    }

    @Test("vector and scalar tiles agree bit for bit", arguments: [1, 2, 3, 4])
    func tiles(rows: Int) {
        for width in [8, 3] {
            for continues in [false, true] {
                let a = random(4 * 50, seed: 3)
                let b = random(50 * 8, seed: 4)
                let start = random(4 * 8, seed: 5)
                var vector = start
                var scalar = start
                vectorTile(a, 50, rows, b, 8, 50, continues: continues, &vector, 8, width)
                scalarTile(a, 50, rows, b, 8, 50, continues: continues, &scalar, 8, width)
                #expect(vector == scalar)
            }
        }
    }

    @Test("the exponential function")
    func exponentials() {
        var worst = 0.0
        for step in stride(from: -87.0, through: 87.0, by: 0.37) {
            let found = Double(exponential(Lanes(repeating: Float(step)))[3])
            let exact = exp(Double(Float(step)))
            worst = max(worst, (found - exact).magnitude / exact)
        }
        #expect(worst < 3e-7)
        #expect(exponential(Lanes(repeating: 0))[0] == 1)
        #expect(exponential(Lanes(repeating: -.infinity))[0] < 1e-37)
        #expect(exponential(Lanes(repeating: .infinity))[0].isFinite)
        // Any bits at all: no trap.
        _ = exponential(Lanes(repeating: .nan))
        #expect((sigmoidLinearUnit(Lanes(repeating: 2))[0] - 1.761_594).magnitude < 1e-5)
    }

    @Test("norm of a row that fills no vector")
    func norm() {
        let row: [Float] = [3, -4, 0, 0, 0, 0, 0, 0, 0, 5]
        let weight = [Float](repeating: 2, count: 10)
        var target = [Float](repeating: 0, count: 10)
        normalize(row, weight: weight, count: 10, epsilon: 0, into: &target)
        let scale = 2 / Float(5).squareRoot()
        #expect(relativeError(target, row.map { $0 * scale }) < 1e-6)
    }

    @Test("weights of a softmax outside the visible keys are zero")
    func softmax() {
        var scores: [Float] = Array(repeating: 100, count: 24)
        for index in 9..<13 { scores[index] = Float(index) }
        let sum = exponentiate(&scores, visible: 9..<13, first: 8, padded: 24, scale: 1)
        #expect(scores[8] == 0 && scores[13...].allSatisfy { $0 == 0 })
        #expect(scores[12] == 1)
        #expect((sum - (1 + exp(-1) + exp(-2) + exp(-3))).magnitude < 1e-6)
    }

    @Test("threads do not change a bit")
    func threads() throws {
        var shape = ModelConfiguration.tiny
        shape.hiddenSize = 64
        shape.headDimension = 16
        shape.rotary.dimension = 16
        shape.intermediateSize = 128
        shape.layerCount = 2
        let tokens = randomTokens(50, shape)
        let one = try randomModel(shape).prefill(tokens)
        let many = try randomModel(shape, parallelism: .allCores).prefill(tokens)
        #expect(one.logits == many.logits)
        #expect(one.cache.planes == many.cache.planes)
    }

    @Test("a decoded token's rows are put in place; the cache moves once in so many tokens")
    func decodesInPlace() throws {
        let model = try randomModel()
        let tokens = randomTokens(40, .tiny)
        var cache = try model.prefill(Array(tokens[..<10])).cache
        cache.slackRowCount = 13
        /// Where the planes of layer 1 stand, in both forms.
        func places() -> [UnsafeRawPointer?] {
            let planes = cache.planes.layers[1]
            return [planes.keys, planes.values, cache.packed[1].keys, cache.packed[1].values].map {
                $0.withUnsafeBytes(\.baseAddress)
            }
        }
        _ = try model.decode(tokens[10], into: &cache)
        // 11 rows and 13 of slack fill three panels.
        #expect(cache.packed.map(\.capacity) == [24, 24, 24])
        let first = places()
        for token in tokens[11..<24] {
            _ = try model.decode(token, into: &cache)
            #expect(places() == first)
        }
        let logits = try model.decode(tokens[24], into: &cache)
        #expect(places() != first && cache.packed[1].capacity == 40)
        #expect(try logits == model.prefill(Array(tokens[..<25])).logits, "bit for bit")
        for slack in [0, -1, 1] {
            var cache = try model.prefill(Array(tokens[..<10])).cache
            cache.slackRowCount = slack
            for token in tokens[10..<24] { _ = try model.decode(token, into: &cache) }
            let next = try model.decode(tokens[24], into: &cache)
            #expect(next == logits)
        }
    }

    @Test("decoding a token is prefilling one more, bit for bit")
    func decodeIsPrefill() throws {
        let model = try randomModel()
        let tokens = randomTokens(19, .tiny)
        var cache = try model.prefill(Array(tokens[..<10]), basePosition: 4).cache
        for count in 11...19 {
            let logits = try model.decode(tokens[count - 1], into: &cache)
            let exact = try model.prefill(Array(tokens[..<count]), basePosition: 4)
            #expect(logits == exact.logits)
            #expect(cache.planes == exact.cache.planes)
        }
        #expect(cache.positions == Array(4..<23))
    }
}
