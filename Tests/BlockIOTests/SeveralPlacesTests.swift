import Glibc
import Testing

@testable import BlockIO

/// Reads of one range of a file into several places of memory.
@Suite struct SeveralPlacesTests {
    static let unit = 4_096

    /// Lengths of places, in units; together 12.
    static let layouts = [[12], [1, 11], [11, 1], [4, 4, 4], [1, 1, 1, 1, 1, 1, 1, 5]]

    /// Places in one buffer, in another order than in the file and with gaps between.
    private func places(_ lengths: [Int], in whole: IOSlice) -> [IOSlice] {
        var (slices, end) = ([IOSlice](), whole.byteCount)
        for length in lengths {
            end -= (length + 1) * Self.unit
            slices.append(whole.slice(offset: end, byteCount: length * Self.unit))
        }
        return slices
    }

    private func bytes(_ slices: [IOSlice], _ buffer: borrowing AlignedBuffer) -> [UInt8] {
        let all = buffer.bytes
        return slices.flatMap { slice in
            let start = Int(slice.address - buffer.slice.address)
            return all[start..<start + slice.byteCount]
        }
    }

    private func read(
        _ disk: any Disk, _ file: FileID, at offset: UInt64, into slices: [IOSlice]
    ) async -> Result<Int, DiskError> {
        await withCheckedContinuation { continuation in
            disk.submit(
                IORequest(
                    .read, file: file, offset: offset, slice: slices[0],
                    furtherSlices: Array(slices.dropFirst())
                ) { continuation.resume(returning: $0) })
        }
    }

    @Test("are one request, whole, whatever the memory and the pieces", arguments: Place.engines)
    func whole(engine: DiskEngine) async throws {
        let place = Place()
        // Pieces that end inside places, at their ends, and nowhere; memory of the pool and not.
        for (pieceUnits, poolBytes) in [(1, 8 << 20), (3, 8 << 20), (4, 2 << 20), (256, 8 << 20)] {
            let disk = try place.openDisk(engine) {
                $0.pieceBytes = pieceUnits * Self.unit
                $0.registeredPoolBytes = poolBytes
            }
            let file = try await disk.open("\(engine)-\(pieceUnits)-\(poolBytes)", .createNew)
            let content = pattern(16 * Self.unit, seed: 5)
            let source = filled(disk, content)
            try await disk.write(file, at: 0, from: source.slice)
            // The pool has no room for this one.
            let filler = poolBytes == 2 << 20 ? disk.makeBuffer(byteCount: 1_900 << 10) : source
            for lengths in Self.layouts {
                let target = disk.makeBuffer(byteCount: 24 * Self.unit)
                let slices = places(lengths, in: target.slice)
                let before = disk.counters.readCount
                let count = try await read(disk, file, at: UInt64(Self.unit), into: slices).get()
                #expect(count == 12 * Self.unit && disk.counters.readCount == before + 1)
                #expect(bytes(slices, target) == Array(content[Self.unit..<13 * Self.unit]))
                // The gaps are nobody's.
                #expect(target.bytes.count { $0 != 0 } <= 12 * Self.unit)
            }
            _ = filler.byteCount
            await disk.shutdown()
        }
    }

    @Test("end where the file does, at each border and beside it", arguments: Place.engines)
    func endOfFile(engine: DiskEngine) async throws {
        let place = Place()
        let disk = try place.openDisk(engine) { $0.pieceBytes = 5 * Self.unit }
        let file = try await disk.open("a", .createNew)
        let content = pattern(12 * Self.unit, seed: 6)
        let source = filled(disk, content)
        try await disk.write(file, at: 0, from: source.slice)
        for end in stride(from: 12, through: 0, by: -1) {
            for beside in [1, 0, -1] where (0...12 * Self.unit).contains(end * Self.unit + beside) {
                let length = end * Self.unit + beside
                try await disk.truncate(file, byteCount: UInt64(length))
                for lengths in Self.layouts {
                    let target = disk.makeBuffer(byteCount: 24 * Self.unit)
                    let slices = places(lengths, in: target.slice)
                    let found = try await read(disk, file, at: 0, into: slices).get()
                    #expect(found == length, "\(lengths)")
                    #expect(bytes(slices, target).prefix(length) == content.prefix(length))
                }
            }
        }
        await disk.shutdown()
    }

    @Test("fail as a whole, with the first place that did; the memory is free again")
    func failure() async throws {
        for engine in Place.engines {
            let place = Place()
            let disk = try place.openDisk(engine)
            // A file whose descriptor takes no reads: the kernel says EBADF.
            let file = try await disk.open("a", .createNew)
            let target = disk.makeBuffer(byteCount: 24 * Self.unit)
            let slices = places([4, 4, 4], in: target.slice)
            let broken = slices.map {
                IOSlice(address: $0.address &+ 1 << 60, byteCount: $0.byteCount, owner: nil)
            }
            let source = filled(disk, pattern(12 * Self.unit, seed: 7))
            try await disk.write(file, at: 0, from: source.slice)
            let result = await read(disk, file, at: 0, into: [slices[0], broken[1], slices[2]])
            switch result {
            case .failure(let error): #expect(error.errorNumber == EFAULT)
            case .success(let count): Issue.record("\(count) bytes to nowhere")
            }
            #expect(try await read(disk, file, at: 0, into: slices).get() == 12 * Self.unit)
            await disk.shutdown()
        }
    }

    @Test("cut at any byte are the rest of the places, in order")
    func parts() {
        let buffer = AlignedBuffer(byteCount: 24 * Self.unit)
        for lengths in Self.layouts {
            let slices = places(lengths, in: buffer.slice)
            let request = request(slices)
            #expect(request.byteCount == 12 * Self.unit)
            for start in stride(from: 0, through: 12 * Self.unit, by: 512) {
                for count in [0, 1, 511, 4_096, 12 * Self.unit - start]
                where start + count <= 12 * Self.unit {
                    let found = request.slices(from: start, byteCount: count)
                    #expect(found.reduce(0) { $0 + $1.byteCount } == count)
                    var place = start
                    for slice in found where slice.byteCount > 0 {
                        #expect(slice.address == address(of: place, in: slices))
                        place += slice.byteCount
                    }
                }
            }
        }
    }

    private func request(_ slices: [IOSlice]) -> IORequest {
        IORequest(
            .read, file: FileID(0), offset: 0, slice: slices[0],
            furtherSlices: Array(slices.dropFirst())
        ) { _ in }
    }

    private func address(of byte: Int, in slices: [IOSlice]) -> UInt? {
        var byte = byte
        for slice in slices {
            if byte < slice.byteCount { return slice.address + UInt(byte) }
            byte -= slice.byteCount
        }
        return nil
    }

    /// What both engines do with the kernel's answers, before a kernel that answers anything.
    @Test("are resumed at the right byte after any answer of the kernel", arguments: 0..<200)
    func answers(seed: UInt64) {
        var generator = Generator(state: seed &* 0x9E37_79B9_7F4A_7C15 | 1)
        let lengths = Self.layouts[Int(seed) % Self.layouts.count]
        let buffer = AlignedBuffer(byteCount: 24 * Self.unit)
        let slices = places(lengths, in: buffer.slice)
        let request = request(slices)
        let content = pattern(12 * Self.unit, seed: seed)
        let borders = lengths.reduce(into: [0]) { $0.append($0.last! + $1 * Self.unit) }
        // Address of the first byte, and bytes there.
        var memory: [UInt: UInt8] = [:]
        var progress = TransferProgress(
            isRead: true, byteCount: request.byteCount, alignment: Self.unit)
        while true {
            let done = progress.done
            let left = request.byteCount - done
            let parts = request.slices(from: done, byteCount: left)
            var answer = [left, left / 2, 1, -Int(EAGAIN), -Int(ECANCELED), -Int(EINTR)]
                .randomElement(using: &generator)!
            // Short just at, before and behind a border.
            if Bool.random(using: &generator) {
                let border = borders.randomElement(using: &generator)! - done
                answer = border + Int.random(in: -1...1, using: &generator)
                if !(1...left).contains(answer) { answer = left }
            }
            var (moved, place) = (0, done)
            for part in parts {
                for byte in 0..<part.byteCount where moved < answer {
                    memory[part.address + UInt(byte)] = content[place]
                    (moved, place) = (moved + 1, place + 1)
                }
            }
            switch progress.advance(by: answer, fileEnd: { request.byteCount }) {
            case .resume: continue
            case .complete:
                for (byte, value) in content.enumerated() where byte % 61 == 0 {
                    #expect(memory[address(of: byte, in: slices)!] == value)
                }
                #expect(memory.count == content.count)
            case .endOfFile, .failed: Issue.record("\(progress)")
            }
            return
        }
    }

    private struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state
        }
    }
}
