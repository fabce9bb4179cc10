// swift-tools-version: 6.2
import Foundation
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

// The stores beside which `peers` measures are built in where their headers are installed.
func has(_ header: String) -> Bool {
    FileManager.default.fileExists(atPath: "/usr/include/\(header)")
}
let storePeers = [
    (header: "rocksdb/db.h", define: "CHUNKDB_HAS_ROCKSDB", library: "rocksdb"),
    (header: "lmdb.h", define: "CHUNKDB_HAS_LMDB", library: "lmdb"),
].filter { has($0.header) }

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
                "CIndexPeers", "CStorePeers",
                .product(name: "ChunkDB", package: "ChunkDB"),
                .product(name: "Codecs", package: "ChunkDB"),
                .product(name: "Feed", package: "ChunkDB"),
                .product(name: "DeviceFeed", package: "ChunkDB"),
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
        .target(
            name: "CStorePeers", cxxSettings: storePeers.map { .define($0.define) },
            linkerSettings: storePeers.map { .linkedLibrary($0.library) }),
        .testTarget(
            name: "BenchmarkSmokeTests", dependencies: ["chunkdb-bench"],
            swiftSettings: testRules),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
