// Every search kernel that this machine can run gives the rank that a plain count gives, from
// every guess, whether the guess is good or absurd.

import CShims
import Testing

@Suite("Search kernels")
struct KernelTests {
    static let kernels = (0...2 as ClosedRange<UInt32>).filter { $0 <= cshims_best_kernel() }

    @Test("Ranks are exact from any guess", arguments: kernels)
    func ranks(kernel: UInt32) {
        var random = Seeded(UInt64(kernel))
        var wrong = 0
        for count in 0...64 as ClosedRange<UInt32> {
            for shape in 0..<4 {
                let words = (0..<count).map { _ -> UInt64 in
                    switch shape {
                    case 0: random.next()
                    case 1: random.next() % 8
                    case 2: .max - random.next() % 3
                    default: 1 << 63 - (random.next() % 5) + 2
                    }
                }.sorted()
                var wanted: [UInt64] = [0, 1, .max, 1 << 63, 1 << 63 - 1, random.next()]
                wanted += words.prefix(9)
                for key in wanted {
                    let rank = words.count { $0 < key }
                    for guess in [0, count / 2, count, 63, 4_000] as [UInt32] {
                        let found = words.withUnsafeBufferPointer {
                            cshims_rank(kernel, $0.baseAddress ?? Self.nothing, count, key, guess)
                        }
                        if found != UInt32(rank) { wrong += 1 }
                    }
                }
            }
        }
        #expect(wrong == 0)
    }

    private nonisolated(unsafe) static let nothing = UnsafePointer(
        UnsafeMutablePointer<UInt64>.allocate(capacity: 8)
    )

    @Test("A guess is within the count and rises with the key")
    func guesses() {
        var random = Seeded(5)
        for _ in 0..<2_000 {
            let fences = [random.next() >> (random.next() % 64), random.next()].sorted()
            let keys = (0..<8).map { _ in random.next() } + [fences[0], fences[1], 0, .max]
            let guesses = keys.sorted().map { cshims_interpolate(fences[0], fences[1], 64, $0) }
            #expect(guesses == guesses.sorted())
            #expect(guesses.allSatisfy { $0 <= 64 })
            #expect(cshims_interpolate(fences[0], fences[1], 64, fences[0]) == 0)
        }
    }
}
