// The end of an index: its nodes go back to the arena, a level at a time.

extension IndexCore {
    /// Hands over every level as one chain, and the kept nodes. The index is unusable afterwards.
    func giveBackNodes() {
        let liveLeaves = leavesTaken - keptLeaves.count
        let liveBranches = branchesTaken - keptBranches.count
        let heads = leftmostNodes()
        keptLeaves.takeChains(from: leaves) { leaves.free.push(chain: $0, count: $1, in: leaves) }
        keptBranches.takeChains(from: branches) {
            branches.free.push(chain: $0, count: $1, in: branches)
        }
        leaves.free.push(chain: heads[0], count: liveLeaves, in: leaves)
        for level in heads.indices.dropFirst() {
            // The total is what counts; it is entered once.
            let count = level == 1 ? liveBranches : 0
            branches.free.push(chain: heads[level], count: count, in: branches)
        }
        forgetNodes()
    }
}
