// Which chunks the question looks at, watched layer by layer while repair goes on: when that set
// has settled, repair of the others stops (Cache-Craft, arXiv 2502.15734; FUSION, "Focused
// chunks").

/// *Complexity:* O(m log m) a layer for m chunks.
public struct FocusObserver: Hashable, Sendable {
    /// Share of the question's attention to chunks that the focused ones hold together, 0…1.
    public let focusMass: Double
    /// Layers over which the set must not change, at least 1.
    public let focusWindow: Int
    /// Chunks that hold `focusMass` at the last layer seen, ascending.
    public private(set) var focused: [Int] = []
    /// How many layers in a row have shown this set.
    public private(set) var unchangedLayerCount = 0

    /// *Throws:* `ratioOutOfRange` for a mass outside 0…1, `schedule` for a window below 1.
    public init(focusMass: Double, focusWindow: Int) throws(FusionError) {
        guard focusMass >= 0, focusMass <= 1 else { throw .ratioOutOfRange(focusMass) }
        guard focusWindow >= 1 else {
            throw .schedule(layer: focusWindow, reason: "a focus window has a layer")
        }
        self.focusMass = focusMass
        self.focusWindow = focusWindow
    }

    /// Takes the question's attention mass on each chunk at the next layer. True when the set has
    /// not changed for the window: repair of all other chunks may stop.
    public mutating func observe(_ masses: [Double]) throws(FusionError) -> Bool {
        if let index = masses.firstIndex(where: { !($0 >= 0 && $0.isFinite) }) {
            throw .scoreNotANumber(chunk: index, score: .attentionMass, index: index)
        }
        let goal = masses.reduce(0, +) * focusMass
        var held = 0.0
        var set: [Int] = []
        let ordered = masses.indices.sorted {
            masses[$0] != masses[$1] ? masses[$0] > masses[$1] : $0 < $1
        }
        for chunk in ordered where held < goal {
            held += masses[chunk]
            set.append(chunk)
        }
        set.sort()
        unchangedLayerCount = set == focused ? unchangedLayerCount + 1 : 1
        focused = set
        return unchangedLayerCount >= focusWindow
    }
}
