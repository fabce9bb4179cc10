// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody who links the engine pays for the bench's dependencies.

let benchRules: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]
let testRules: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

// The index's peers are C++ libraries that nobody else needs, so they are asked for:
//   apt-get install libabsl-dev librocksdb-dev libtbb-dev
//   CHUNKDB_PEERS=1 swift run -c release --package-path Benchmarks chunkdb-bench index
let hasPeers = Context.environment["CHUNKDB_PEERS"] == "1"
let peerLibraries = ["absl_throw_delegate", "absl_raw_logging_internal", "rocksdb", "tbb"]

let package = Package(
    name: "ChunkDBBenchmarks",
    products: [
        .executable(name: "chunkdb-bench", targets: ["chunkdb-bench"])
    ],
    dependencies: [
        .package(name: "ChunkDB", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(
            url: "https://github.com/HdrHistogram/hdrhistogram-swift",
            .upToNextMinor(from: "0.2.0")),
    ],
    targets: [
        .executableTarget(
            name: "chunkdb-bench",
            dependencies: [
                "CIndexPeers",
                .product(name: "ChunkDB", package: "ChunkDB"),
                .product(name: "Feed", package: "ChunkDB"),
                .product(name: "BSkiplist", package: "ChunkDB"),
                .product(name: "Retention", package: "ChunkDB"),
                .product(name: "Fusion", package: "ChunkDB"),
                .product(name: "AttentionFeed", package: "ChunkDB"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            swiftSettings: benchRules),
        .target(
            name: "CIndexPeers",
            cxxSettings: hasPeers ? [.define("CHUNKDB_PEERS")] : [],
            linkerSettings: hasPeers ? peerLibraries.map { .linkedLibrary($0) } : []),
        .testTarget(
            name: "BenchmarkSmokeTests", dependencies: ["chunkdb-bench"],
            swiftSettings: testRules),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
