// Stored objects by worth, the lowest on top: an indexed binary heap, O(log n) a change. It may
// keep worths because they stand still while an object is not used (RetentionPolicy). Equal worths
// leave in the order they were last touched.

struct VictimHeap {
    private var objects: [Int32] = []
    /// By object: where it is in `objects`, -1 if it is not.
    private var places: [Int32]
    private var worths: [Double]
    private var turns: [UInt32]
    private var turn: UInt32 = 0

    init(objectCount: Int) {
        places = [Int32](repeating: -1, count: objectCount)
        worths = [Double](repeating: 0, count: objectCount)
        turns = [UInt32](repeating: 0, count: objectCount)
    }

    var count: Int { objects.count }
    func contains(_ object: Int) -> Bool { places[object] >= 0 }
    var lowest: Int? { objects.first.map(Int.init) }

    /// Adds the object, or gives it another worth.
    mutating func set(_ object: Int, worth: Double) {
        turn += 1
        worths[object] = worth
        turns[object] = turn
        if places[object] < 0 {
            places[object] = Int32(objects.count)
            objects.append(Int32(object))
        }
        let place = rise(Int(places[object]))
        sink(place)
    }

    mutating func removeLowest() -> Int? {
        guard let lowest else { return nil }
        places[lowest] = -1
        let last = objects.removeLast()
        if !objects.isEmpty {
            put(last, at: 0)
            sink(0)
        }
        return lowest
    }

    private func isLower(_ left: Int32, _ right: Int32) -> Bool {
        let (left, right) = (Int(left), Int(right))
        return worths[left] == worths[right]
            ? turns[left] < turns[right] : worths[left] < worths[right]
    }

    private mutating func put(_ object: Int32, at place: Int) {
        objects[place] = object
        places[Int(object)] = Int32(place)
    }

    private mutating func rise(_ start: Int) -> Int {
        var place = start
        let object = objects[place]
        while place > 0, isLower(object, objects[(place - 1) / 2]) {
            put(objects[(place - 1) / 2], at: place)
            place = (place - 1) / 2
        }
        put(object, at: place)
        return place
    }

    private mutating func sink(_ start: Int) {
        var place = start
        let object = objects[place]
        while 2 * place + 1 < objects.count {
            var child = 2 * place + 1
            if child + 1 < objects.count, isLower(objects[child + 1], objects[child]) { child += 1 }
            guard isLower(objects[child], object) else { break }
            put(objects[child], at: place)
            place = child
        }
        put(object, at: place)
    }
}
