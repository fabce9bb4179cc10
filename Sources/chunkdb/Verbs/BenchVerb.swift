import ArgumentParser

/// `bench …`: chunkdb-bench, by a shorter name.
struct BenchVerb: ShellVerb {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Runs chunkdb-bench, the benchmark, with the words that follow.",
        usage: "chunkdb bench [words of chunkdb-bench]",
        discussion: """
            It is looked for on the PATH, and where CHUNKDB_BENCH points. `chunkdb bench --help` \
            is its help.
            """)

    @Argument(parsing: .captureForPassthrough, help: "Words for chunkdb-bench.")
    var words: [String] = []

    var wantsJSON: Bool { false }

    func run(on console: Console) throws(ShellError) -> ShellExit {
        try BenchTool.run(words, on: console)
        return .fine
    }
}
