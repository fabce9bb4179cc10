// What a directory's file system can do, asked once when a disk is made.

import CSystemCalls
import Glibc

/// The file system under a store.
struct PlaceFacts {
    /// Over a network or through a user process, where flushes and locks cannot be relied on.
    var isRemote = false
    /// Whether the kernel accepts O_DIRECT there.
    var acceptsDirect = true
    /// Whether direct transfers really bypass the page cache.
    var isDirect = true
    /// U: what the device reports, 4,096 at least.
    var alignment = leastAlignment
    var notes: [String] = []

    static let leastAlignment = 4_096
    /// Beyond this, a reported unit is taken for nonsense.
    private static let greatestAlignment = 1 << 20

    private static let remoteKinds: [UInt64: String] = [
        0x6969: "NFS", 0x517B: "SMB", 0xFF53_4D42: "CIFS", 0xFE53_4D42: "SMB2",
        0x6573_5546: "FUSE", 0x0102_1997: "9P", 0x00C3_6400: "Ceph", 0x5346_414F: "AFS",
    ]
    private static let overlay: UInt64 = 0x794C_7630
    private static let memoryKinds: Set<UInt64> = [0x0102_1994, 0x8584_58F6]

    init(_ directory: StoreDirectory) throws(DiskError) {
        let kind = chunkdb_file_system_magic(directory.descriptor)
        if let name = Self.remoteKinds[kind] {
            isRemote = true
            notes.append("file system: \(name), which is not on this machine alone")
        }
        if kind == Self.overlay { notes.append("file system: overlay, as in a container") }
        probeDirect(directory)
        if acceptsDirect && Self.memoryKinds.contains(kind) {
            isDirect = false
            notes.append("file system: in memory; O_DIRECT is accepted and without effect")
        }
    }

    private mutating func probeDirect(_ directory: StoreDirectory) {
        do throws(SystemError) {
            guard let probe = try Self.openProbe(directory) else { return }
            defer { SystemCalls.close(probe) }
            let facts = try SystemCalls.facts(probe)
            if facts.knows_direct != 0 {
                if facts.direct_offset_alignment == 0 { throw SystemError(number: EINVAL) }
                raise(to: Int(facts.direct_offset_alignment))
                raise(to: Int(facts.direct_memory_alignment))
            }
            raise(to: Self.physicalBlock(facts))
        } catch {
            // Anything but a plain refusal leaves the question to the first file that is opened.
            if error.number == EINVAL { (acceptsDirect, isDirect) = (false, false) }
        }
    }

    /// A descriptor opened for direct transfers: of a nameless file, or, where nothing may be
    /// written, of any file that is there.
    private static func openProbe(_ directory: StoreDirectory) throws(SystemError) -> Int32? {
        if !directory.isReadOnly {
            do throws(SystemError) {
                return try directory.openUnnamed(isDirect: true)
            } catch {
                if error.number == EINVAL { throw error }
            }
        }
        for name in (try? directory.list("")) ?? [] {
            do throws(DiskError) {
                return try directory.open(name, .read, isDirect: true)
            } catch {
                if error.errorNumber == EINVAL { throw SystemError(number: EINVAL) }
            }
        }
        return nil
    }

    private mutating func raise(to unit: Int) {
        guard unit > alignment, unit <= Self.greatestAlignment, unit.nonzeroBitCount == 1 else {
            return
        }
        alignment = unit
    }

    /// The device's physical block by sysfs; 0 where it does not say. A partition's queue is its
    /// whole disk's.
    private static func physicalBlock(_ facts: chunkdb_file_facts) -> Int {
        let device = "/sys/dev/block/\(facts.device_major):\(facts.device_minor)"
        for queue in ["queue", "../queue"] {
            if let number = SystemCalls.number(inFile: "\(device)/\(queue)/physical_block_size") {
                return number
            }
        }
        return 0
    }
}
