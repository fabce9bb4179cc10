// How far a `verify` has come, in a file outside the store, so that the next one goes on from
// there: the places where sound variants begin. What is written at a place of a segment's use
// never changes, so that one word is enough for it; what was written, copied or begun anew since
// stands elsewhere, or in another use. What was found damaged is not in it, and looked at again.
//
//     chunkdb-verify 1
//     store 00112233445566778899aabbccddeeff
//     namespaces all                 or their numbers
//     segment 3 17 3000,2000,2000    number, use, offsets: the first, then steps, hexadecimal
//     digest …                       of the lines above

import Foundation
import Primitives

struct VerifyState: Equatable {
    struct Use: Hashable, Comparable {
        var segment: UInt32
        var useSequence: UInt64

        static func < (left: Self, right: Self) -> Bool {
            (left.segment, left.useSequence) < (right.segment, right.useSequence)
        }
    }
    struct Place: Hashable {
        var use: Use
        var offset: UInt64
    }

    let storeID: [UInt8]
    /// Their numbers; `nil` for all.
    let namespaces: Set<UInt32>?
    private var sound: [Use: Set<UInt64>] = [:]

    init(storeID: [UInt8], namespaces: Set<UInt32>?) {
        (self.storeID, self.namespaces) = (storeID, namespaces)
    }

    /// Whether the variant that begins there was found sound.
    func knows(_ place: Place) -> Bool { sound[place.use]?.contains(place.offset) ?? false }

    mutating func note(_ place: Place) { sound[place.use, default: []].insert(place.offset) }

    // MARK: The file

    private static let title = "chunkdb-verify 1"

    /// *Complexity:* O(n log n) places.
    var text: String {
        var lines = [Self.title, "store \(hexadecimal(storeID))"]
        let numbers = namespaces.map { $0.sorted().map(String.init).joined(separator: ",") }
        lines.append("namespaces \(numbers ?? "all")")
        for (use, offsets) in sound.sorted(by: { $0.key < $1.key }) {
            var last: UInt64 = 0
            let steps = offsets.sorted().map { offset in
                defer { last = offset }
                return String(offset - last, radix: 16)
            }
            lines.append(
                "segment \(use.segment) \(use.useSequence) \(steps.joined(separator: ","))")
        }
        let body = lines.joined(separator: "\n") + "\n"
        return body + "digest \(Digest128(hashing: Array(body.utf8)))\n"
    }

    enum Trouble: Error, Equatable {
        /// It is somebody else's.
        case notOurs
        /// It was ours, and is not whole.
        case torn
    }

    init(parsing bytes: [UInt8]) throws(Trouble) {
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.hasPrefix(Self.title) || Self.title.hasPrefix(text) else { throw .notOurs }
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)[...]
        guard lines.popLast() == "", let last = lines.popLast() else { throw .torn }
        let body = lines.joined(separator: "\n") + "\n"
        guard last == "digest \(Digest128(hashing: Array(body.utf8)))" else { throw .torn }
        let rows = lines.dropFirst().map { $0.split(separator: " ") }
        guard rows.count >= 2, rows[0].count == 2, rows[0][0] == "store", rows[1].count == 2,
            rows[1][0] == "namespaces"
        else { throw .torn }
        storeID = stride(from: 0, to: rows[0][1].count, by: 2).compactMap {
            UInt8(rows[0][1].dropFirst($0).prefix(2), radix: 16)
        }
        namespaces =
            rows[1][1] == "all"
            ? nil : Set(rows[1][1].split(separator: ",").compactMap { UInt32($0) })
        for row in rows.dropFirst(2) {
            guard row.count == 4, row[0] == "segment", let segment = UInt32(row[1]),
                let useSequence = UInt64(row[2])
            else { throw .torn }
            var offset: UInt64 = 0
            for step in row[3].split(separator: ",") {
                guard let step = UInt64(step, radix: 16) else { throw .torn }
                offset = offset.saturatingAdd(step)
                note(Place(use: Use(segment: segment, useSequence: useSequence), offset: offset))
            }
        }
    }
}

/// A state and the file that keeps it.
struct VerifyResumption {
    private static let bytesMax = 64 << 20
    private static let saveNanoseconds: UInt64 = 2_000_000_000

    let file: String
    var state: VerifyState
    private var nextSave: UInt64

    /// Goes on from the file, or begins.
    /// *Throws:* `.usage` for a place in the store, another store's state, one of other
    /// namespaces, and a file that is no state: it would be overwritten.
    init(_ file: String, of fresh: VerifyState, at path: String, on console: Console)
        throws(ShellError)
    {
        self.file = file
        state = fresh
        nextSave = console.clock.monotonicNanoseconds &+ Self.saveNanoseconds
        func refuse(_ reason: String) -> ShellError { ShellError(.usage, "\(file): \(reason)") }
        let folder = URL(fileURLWithPath: file).deletingLastPathComponent().path
        let inside = SmallFile.resolved(folder) + "/"
        guard !inside.hasPrefix(SmallFile.resolved(path) + "/") else {
            throw refuse("inside the store; a state goes elsewhere")
        }
        guard let bytes = SmallFile.bytes(file, maximum: Self.bytesMax) else {
            guard !FileManager.default.fileExists(atPath: file) else {
                throw refuse("not a state of verify, and nothing else is overwritten")
            }
            return
        }
        let found: VerifyState
        do throws(VerifyState.Trouble) {
            found = try VerifyState(parsing: bytes)
        } catch {
            guard error == .torn else {
                throw refuse("not a state of verify, and nothing else is overwritten")
            }
            console.warn("\(file): not a whole state; beginning anew")
            return
        }
        guard found.storeID == fresh.storeID else {
            throw refuse("the state of another store, \(hexadecimal(found.storeID))")
        }
        guard found.namespaces == fresh.namespaces else {
            throw refuse("the state of other namespaces; name the same, or another file")
        }
        state = found
    }

    /// Every two seconds, or less often when that would take more than a twentieth of the time.
    mutating func saveIfDue(_ console: Console) throws(ShellError) {
        let began = console.clock.monotonicNanoseconds
        guard began >= nextSave else { return }
        try save()
        let end = console.clock.monotonicNanoseconds
        nextSave = end &+ max(Self.saveNanoseconds, (end &- began).saturatingMultiply(20))
    }

    /// The file is replaced whole.
    func save() throws(ShellError) {
        do {
            try Data(state.text.utf8).write(to: URL(fileURLWithPath: file), options: .atomic)
        } catch {
            throw ShellError(.cannotWrite, "\(file): \(error.localizedDescription)")
        }
    }

    /// All is verified: there is nothing to go on from.
    func remove() { try? FileManager.default.removeItem(atPath: file) }
}
