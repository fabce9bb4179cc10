// Which engine, and how much of it.

/// Who moves the bytes of a real disk.
public enum DiskEngine: String, Sendable, CaseIterable {
    /// The ring; threads where io_uring is forbidden, and then `DiskTraits.notes` says why.
    case automatic
    /// io_uring, or an error.
    case ring
    /// Positional calls on threads.
    case threads
}

/// How to open a real disk.
public struct DiskOptions: Sendable {
    public var engine: DiskEngine = .automatic
    /// Goes through the page cache instead of O_DIRECT. Never chosen unasked: a file system that
    /// refuses direct I/O is an error (`.directIORefused`) unless this is set.
    public var buffered = false
    /// Pieces that the ring may have in hand at once, 1 to 4,096; the rest waits its turn.
    public var queueDepth = 32
    /// Bytes that the ring may have in hand at once; at least one piece always goes out. Enough to
    /// keep the device busy, and no more: a device shares itself among all it has, so that with
    /// more in hand all ends late and at once, and whoever verifies has nothing to do meanwhile.
    /// Measured from 1 to 16 MiB.
    public var queueBytes = 6 << 20
    /// The largest transfer asked of the kernel at once; readers of large extents split them so
    /// too (`DiskTraits.pieceBytes`). Measured from 256 KiB to 4 MiB: below, the cost per call
    /// shows (twice the processor time at 256 KiB); above, nothing is gained and a lone 2 MiB write
    /// becomes one slow piece.
    public var pieceBytes = 1 << 20
    /// Memory from which `makeBuffer` serves first: in huge pages, and with the ring registered
    /// with the kernel, which pins it while the disk is open. At most 1 GiB.
    public var registeredPoolBytes = 64 << 20
    /// Threads of the engine without a ring: as many transfers are in hand at once.
    public var threadCount = 8

    /// Processors that the threads which move bytes may run on, for example those beside the
    /// device (`/sys/block/*/device/numa_node`), and beside which the pool's memory then lies;
    /// empty: the system decides. Where it refuses, `DiskTraits.notes` says so.
    public var processors: Set<Int> = []

    /// What tests make the kernel say, to see the way around it.
    package var simulated = SimulatedTrouble()

    public init() {}

    var boundedDepth: Int { min(max(queueDepth, 1), 4_096) }

    var boundedBytes: Int { max(queueBytes, 1) }

    var poolByteCount: Int {
        let page = LargePages.pageBytes
        return max(page, min(registeredPoolBytes, BufferPool.greatestByteCount) / page * page)
    }
}

/// Error numbers that stand for the kernel's answer at one step; 0 asks the kernel.
package struct SimulatedTrouble: Sendable {
    package var ringSetup: Int32 = 0
    package var modernFlags: Int32 = 0
    package var fileRegistration: Int32 = 0
    package var bufferRegistration: Int32 = 0
    package var allocation: Int32 = 0
    package var directOpen: Int32 = 0
    package init() {}
}
