// The checker itself: right histories pass, histories made wrong on purpose do not.

import Testing

@Suite("The linearizability checker")
struct CheckerTests {
    /// A random history that is right by construction: each operation takes effect at a moment of
    /// its own and spans some time around it.
    static func rightHistory(_ random: inout Seeded, operations: Int) -> [Recorded] {
        var value: UInt64 = 0
        var history: [Recorded] = []
        var spans: [(call: Double, end: Double)] = []
        for number in 1...operations {
            let moment = Double(number)
            spans.append(
                (
                    moment - Double(random.next() % 400) / 100 - 0.001 * moment / 1e6,
                    moment + Double(random.next() % 400) / 100 + 0.001
                )
            )
            let new = UInt64(number) << 8
            switch random.next() % 4 {
            case 0: history.append(Recorded(kind: .lookup, answer: value, called: 0, returned: 0))
            case 1:
                let success: UInt64 = value == 0 ? 1 : 0
                history.append(
                    Recorded(kind: .insert(new), answer: success, called: 0, returned: 0)
                )
                if value == 0 { value = new }
            case 2:
                history.append(Recorded(kind: .upsert(new), answer: value, called: 0, returned: 0))
                value = new
            default:
                history.append(Recorded(kind: .remove, answer: value, called: 0, returned: 0))
                value = 0
            }
        }
        // Times to distinct ticks; of equal times calls come first, which only widens the spans.
        var times: [(time: Double, operation: Int, isCall: Bool)] = []
        for (number, span) in spans.enumerated() {
            times.append((span.call, number, true))
            times.append((span.end, number, false))
        }
        times.sort { ($0.time, $0.isCall ? 0 : 1) < ($1.time, $1.isCall ? 0 : 1) }
        for (tick, event) in times.enumerated() {
            if event.isCall {
                history[event.operation].called = tick
            } else {
                history[event.operation].returned = tick
            }
        }
        return history
    }

    /// Two operations that overlap nothing and contradict each other.
    static func contradiction(_ kind: UInt64, at tick: Int) -> [Recorded] {
        let old: UInt64 = 1
        let new: UInt64 = 3
        func second(_ kind: Recorded.Kind, _ answer: UInt64) -> Recorded {
            Recorded(kind: kind, answer: answer, called: tick + 2, returned: tick + 3)
        }
        // The first one's own answer may be wrong as well; what counts is that no order explains
        // the second.
        let writes = Recorded(kind: .upsert(new), answer: 0, called: tick, returned: tick + 1)
        let removes = Recorded(kind: .remove, answer: 0, called: tick, returned: tick + 1)
        return switch kind % 7 {
        case 0: [writes, second(.lookup, 0)]
        case 1: [writes, second(.lookup, old)]
        case 2: [removes, second(.lookup, new)]
        case 3: [writes, second(.insert(5), 1)]
        case 4: [removes, second(.remove, new)]
        case 5: [writes, second(.upsert(5), 0)]
        default: [removes, second(.insert(5), 0)]
        }
    }

    /// `history`, begun `ticks` later.
    static func delayed(_ history: [Recorded], by ticks: Int) -> [Recorded] {
        history.map { operation in
            var operation = operation
            operation.called += ticks
            operation.returned = operation.returned.map { $0 + ticks }
            return operation
        }
    }

    @Test("A thousand right histories pass and a thousand wrong ones are refused")
    func verdicts() {
        var random = Seeded(2026)
        let operations = 30
        var rightRefused = 0
        var wrongPassed = 0
        for number in 0..<1_000 {
            let history = Self.rightHistory(&random, operations: operations)
            if !Linearizability.holds(history) { rightRefused += 1 }
            var wrong = history
            if number % 2 == 0 {
                // A value that nobody wrote, somewhere among the overlaps.
                let slots = wrong.indices.filter {
                    if case .insert = wrong[$0].kind { false } else { true }
                }
                wrong[slots[Int(random.next() % UInt64(slots.count))]].answer = 77
            } else {
                // Two operations apart from all others, of which the second cannot be explained.
                let ticks = operations * 2
                var planted = Self.contradiction(random.next(), at: ticks)
                let answers: [UInt64] = [0] + (1...operations).map { UInt64($0) << 8 }
                let explicable = answers.first { answer in
                    planted[0].answer = answer
                    return Linearizability.holds(history + [planted[0]])
                }
                #expect(explicable != nil)
                let more = Self.rightHistory(&random, operations: operations)
                wrong += planted + Self.delayed(more, by: ticks + 4)
            }
            if Linearizability.holds(wrong) { wrongPassed += 1 }
        }
        #expect(rightRefused == 0)
        #expect(wrongPassed == 0)
    }
}
