// chunkdb-bench: how close to the device the store comes, what its index costs, what its memory of
// use saves, and what repaired reuse costs and brings back.

import ArgumentParser

@main
struct ChunkDBBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chunkdb-bench",
        abstract: "Measures ChunkDB against plain direct I/O on the same file system.",
        discussion:
            "Build with -c release. Benchmarks/README.md says how the numbers are obtained.",
        subcommands: [
            DeviceWorkload.self, FillWorkload.self, ReadWorkload.self, LayersWorkload.self,
            ExtentsWorkload.self, GatherWorkload.self, CodecWorkload.self,
            DeviceMemoryWorkload.self, IndexWorkload.self, RecoveryWorkload.self,
            TracesWorkload.self, QualityWorkload.self, ReuseWorkload.self,
            FirstTokenWorkload.self, LookupWorkload.self, ChurnWorkload.self,
            PeersWorkload.self, MixedWorkload.self,
            SuiteVerb.self, CompareVerb.self, PlotVerb.self,
            UnflushedPuts.self,
        ])
}
