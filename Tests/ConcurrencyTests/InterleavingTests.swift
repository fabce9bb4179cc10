// Races made to happen: a hook acts, on the operation's own thread, at the very place where another
// thread would have to strike. Debug builds only.

#if DEBUG

    import BSkiplist
    import Synchronization
    import Testing

    @Suite("Forced interleavings")
    struct InterleavingTests {
        private static let arena = NodeArena()

        private static func key(_ number: UInt64) -> IndexKey { IndexKey(number, 0, 0, 0, 0) }
        private static func value(_ number: UInt64) -> IndexValue { IndexValue(number, 0, 0) }

        private static func index(_ numbers: StrideThrough<UInt64>) -> BSkiplist {
            let index = BSkiplist(arena: arena, seed: 6)
            for number in numbers { _ = index.insert(key(number), value(number)) }
            return index
        }

        /// Runs `action` once, at the first `point` reached from now on.
        private static func once(
            _ index: BSkiplist,
            at point: InterleavingPoint,
            _ action: @escaping @Sendable () -> Void
        ) -> Fired {
            let fired = Fired()
            index.setInterleavingHook { reached in
                if reached == point && fired.claim() { action() }
            }
            return fired
        }

        final class Fired: Sendable {
            private let flag = Atomic<Bool>(false)
            func claim() -> Bool { !flag.exchange(true, ordering: .acquiringAndReleasing) }
            var happened: Bool { flag.load(ordering: .acquiring) }
        }

        private static func numbers(_ index: BSkiplist) -> [UInt64] {
            var numbers: [UInt64] = []
            index.scan(from: key(0)) { key, _ in
                numbers.append(key.w0)
                return true
            }
            return numbers
        }

        @Test("Between link and posting every key is found, and the new node may split again")
        func splitBeforePosting() {
            let index = Self.index(stride(from: 10, through: 400, by: 10))
            let missing = Atomic<Int>(0)
            let found = Missing(missing)
            let fired = Self.once(index, at: .splitLinked) {
                for number in stride(from: 10, through: 400, by: 10) as StrideThrough<UInt64> {
                    if index.lookup(Self.key(number)) == nil { found.note() }
                }
                // The unposted node and its neighbours overflow, empty and merge meanwhile.
                for number in 200...260 as ClosedRange<UInt64> {
                    _ = index.insert(Self.key(number), Self.value(number))
                }
                for number in 195...265 as ClosedRange<UInt64> {
                    _ = index.remove(Self.key(number))
                }
            }
            for number in 201...209 as ClosedRange<UInt64> {
                _ = index.upsert(Self.key(number), Self.value(number))
            }
            #expect(fired.happened)
            #expect(found.count == 0)
            #expect(index.checkInvariants().prefix(3) == [])
            let numbers = Self.numbers(index)
            #expect(numbers == numbers.sorted() && Set(numbers).count == numbers.count)
            #expect(numbers.filter { $0 < 195 || $0 > 265 }.count == 33)
        }

        final class Missing: Sendable {
            private let counter: Atomic<Int>
            init(_ counter: consuming Atomic<Int>) { self.counter = counter }
            func note() { counter.wrappingAdd(1, ordering: .relaxed) }
            var count: Int { counter.load(ordering: .relaxed) }
        }

        @Test("The chosen leaf splits before it is locked")
        func leafSplitsUnderInsert() {
            let index = Self.index(stride(from: 10, through: 200, by: 10))
            let fired = Self.once(index, at: .leafChosen) {
                for number in 101...119 as ClosedRange<UInt64> where number != 115 {
                    _ = index.insert(Self.key(number), Self.value(number))
                }
            }
            #expect(index.insert(Self.key(115), Self.value(115)))
            #expect(fired.happened)
            #expect(index.lookup(Self.key(115)) == Self.value(115))
            #expect(index.checkInvariants().prefix(3) == [])
        }

        @Test("The chosen leaf dies, and is reborn elsewhere, before it is locked")
        func leafDiesUnderInsert() {
            let index = Self.index(stride(from: 10, through: 400, by: 10))
            let fired = Self.once(index, at: .leafChosen) {
                for number in 100...300 as ClosedRange<UInt64> {
                    _ = index.remove(Self.key(number))
                }
                for number in 900...1_000 as ClosedRange<UInt64> {
                    _ = index.insert(Self.key(number), Self.value(number))
                }
            }
            #expect(index.insert(Self.key(205), Self.value(205)))
            #expect(fired.happened)
            #expect(index.lookup(Self.key(205)) == Self.value(205))
            #expect(index.checkInvariants().prefix(3) == [])
        }

        @Test("A removal's leaf dies before it is locked")
        func leafDiesUnderRemove() {
            let index = Self.index(stride(from: 10, through: 400, by: 10))
            let fired = Self.once(index, at: .leafChosen) {
                for number in 100...300 as ClosedRange<UInt64> where number != 200 {
                    _ = index.remove(Self.key(number))
                }
            }
            #expect(index.remove(Self.key(200)) == Self.value(200))
            #expect(fired.happened)
            #expect(index.lookup(Self.key(200)) == nil)
            #expect(index.checkInvariants().prefix(3) == [])
        }

        @Test("An emptied leaf fills again before it is merged")
        func refillBeforeMerge() {
            let index = Self.index(stride(from: 10, through: 400, by: 10))
            let fired = Self.once(index, at: .mergeWanted) {
                for number in 195...225 as ClosedRange<UInt64> {
                    _ = index.insert(Self.key(number), Self.value(number))
                }
            }
            for number in stride(from: 10, through: 400, by: 10) as StrideThrough<UInt64> {
                if number < 195 || number > 225 { #expect(index.remove(Self.key(number)) != nil) }
            }
            #expect(fired.happened)
            #expect(Self.numbers(index) == Array(195...225))
            #expect(index.checkInvariants().prefix(3) == [])
        }

        @Test("Leaves die and are born between two steps of a scan")
        func scanThroughChange() {
            let index = Self.index(stride(from: 10, through: 400, by: 10))
            let round = Atomic<UInt64>(0)
            let state = Rounds(round)
            index.setInterleavingHook { point in
                guard point == .scanBetweenLeaves, let round = state.next() else { return }
                // Numbers ending in 0 stay; all others come and go around them.
                for number in 1...399 as ClosedRange<UInt64> where number % 10 != 0 {
                    if (number + round) % 2 == 0 {
                        _ = index.insert(Self.key(number), Self.value(number))
                    } else {
                        _ = index.remove(Self.key(number))
                    }
                }
            }
            let numbers = Self.numbers(index)
            index.setInterleavingHook(nil)
            #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 })
            #expect(
                numbers.filter { $0 % 10 == 0 } == Array(stride(from: 10, through: 400, by: 10))
            )
            #expect(index.checkInvariants().prefix(3) == [])
        }

        final class Rounds: Sendable {
            private let counter: Atomic<UInt64>
            init(_ counter: consuming Atomic<UInt64>) { self.counter = counter }
            func next() -> UInt64? {
                let round = counter.wrappingAdd(1, ordering: .relaxed).newValue
                return round < 30 ? round : nil
            }
        }

        #if !LOCKED_READS
            // With locked reads the hook would run inside the leaf's lock.
            @Test("A read torn by a writer is read again")
            func tornRead() {
                let index = Self.index(stride(from: 10, through: 200, by: 10))
                let fired = Self.once(index, at: .leafRead) {
                    _ = index.upsert(Self.key(100), Self.value(7))
                }
                #expect(index.lookup(Self.key(100)) == Self.value(7))
                #expect(fired.happened)
                let second = Self.once(index, at: .leafRead) {
                    for number in 50...150 as ClosedRange<UInt64> {
                        _ = index.remove(Self.key(number))
                    }
                }
                #expect(index.lookup(Self.key(100)) == nil)
                #expect(second.happened)
                #expect(index.checkInvariants().prefix(3) == [])
            }
        #endif
    }

#endif
