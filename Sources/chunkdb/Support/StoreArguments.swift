// What every verb that looks into a store takes.

import ArgumentParser
import BlockIO
import Primitives

extension DiskEngine: ExpressibleByArgument {}

struct StoreArguments: ParsableArguments {
    @Argument(help: "The store's directory.", completion: .directory)
    var path: String

    @Flag(help: "Print one JSON object instead of text.")
    var json = false

    @Flag(name: [.short, .long], help: "Print nothing but errors; the exit code tells.")
    var quiet = false

    @Flag(help: "Read through the page cache, for file systems without direct I/O.")
    var buffered = false

    @Option(
        help: ArgumentHelp(
            "Who moves the bytes: automatic, ring (io_uring) or threads.", visibility: .hidden))
    var engine = DiskEngine.automatic

    func openStore() throws(ShellError) -> StoreView {
        var options = DiskOptions()
        options.buffered = buffered
        options.engine = engine
        // Looking needs little; pinned memory is scarce where a store is being served.
        options.registeredPoolBytes = 4 << 20
        return try StoreView(path: path, options: options)
    }
}

/// Which chunk, for `show` and `export`.
struct ChunkArguments: ParsableArguments {
    @Argument(help: "A chunk key, or the beginning of one: hexadecimal digits.")
    var key: KeyPrefix

    @Option(help: "Only in this namespace: its name, or # and its number.")
    var namespace: String?

    @Option(help: "Only this variant: 16 hexadecimal digits; zeros for the standalone one.")
    var variant: VariantID?
}

/// The first digits of a key.
struct KeyPrefix: ExpressibleByArgument, Hashable, CustomStringConvertible {
    /// Lowercase.
    let digits: String

    init?(argument: String) {
        let digits = argument.lowercased()
        guard (1...64).contains(digits.utf8.count),
            digits.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { return nil }
        self.digits = digits
    }

    var description: String { digits }

    /// The smallest key that begins with these digits; keys that do follow it without a gap.
    var lowest: ChunkKey { padded(with: "0") }
    var highest: ChunkKey { padded(with: "f") }

    private func padded(with digit: String) -> ChunkKey {
        ChunkKey(
            hexadecimal: digits + String(repeating: digit, count: 64 - digits.utf8.count))!
    }
}

extension VariantID: ExpressibleByArgument {
    public init?(argument: String) {
        guard argument.utf8.count == 16, let raw = UInt64(argument, radix: 16) else { return nil }
        self.init(raw)
    }
}
