// libFuzzer over every decoder, with the targets, the goldens and the digest repair of FuzzTests.
//
//     DecoderFuzzer seeds FOLDER          goldens and kept corpus, as inputs of libFuzzer
//     DecoderFuzzer keep FOLDER           inputs of libFuzzer, into Tests/FuzzTests/Corpus
//     DecoderFuzzer FOLDER -max_len=...   libFuzzer itself
//
// SwiftPM gives the program a `main` of its own, so libFuzzer's driver is called instead of letting
// its `main` in. A complaint traps, as every trap of a decoder does: libFuzzer keeps the input.

import Foundation

typealias Examination = @convention(c) (UnsafePointer<UInt8>, Int) -> CInt

@_silgen_name("LLVMFuzzerRunDriver")
func runDriver(
    _ argumentCount: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ examination: Examination
) -> CInt

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard let input = FuzzInput(Array(UnsafeBufferPointer(start: start, count: count))) else {
        return -1
    }
    if let complaint = input.complaint { fatalError("\(input.target): \(complaint)") }
    return 0
}

@main
enum DecoderFuzzer {
    static func main() throws {
        switch Array(CommandLine.arguments.dropFirst().prefix(2)) {
        case let words where words.count == 2 && words[0] == "seeds":
            try writeSeeds(URL(fileURLWithPath: words[1]))
        case let words where words.count == 2 && words[0] == "keep":
            try keep(URL(fileURLWithPath: words[1]))
        default:
            var count = CommandLine.argc
            var arguments = CommandLine.unsafeArgv
            exit(runDriver(&count, &arguments, testOneInput))
        }
    }

    static func writeSeeds(_ folder: URL) throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for (index, target) in FuzzTarget.all.enumerated() {
            let inputs = [("golden", target.bytes)] + target.kept
            for (name, bytes) in inputs {
                for flags in [0, FuzzInput.repairs, FuzzInput.repairs | FuzzInput.annotates] {
                    let input = FuzzInput.coded(targetIndex: index, flags: flags, bytes)
                    try Data(input).write(
                        to: folder.appendingPathComponent("\(target.name)-\(flags)-\(name)"))
                }
            }
        }
    }

    static func keep(_ folder: URL) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
            let data = try Data(contentsOf: folder.appendingPathComponent(name))
            guard let input = FuzzInput([UInt8](data)), input.bytes != input.target.bytes else {
                continue
            }
            let home = FuzzTarget.corpus.appendingPathComponent(input.target.name)
            try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
            try Data(input.bytes).write(
                to: home.appendingPathComponent(String(name.prefix(12))))
        }
    }
}
