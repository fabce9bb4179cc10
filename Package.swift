// swift-tools-version: 6.2
import PackageDescription

// The layers of the house, bottom first; every target names the few below it (see README, "Layers").

let houseRules: [SwiftSetting] = [
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

// Under CHUNKDB_LOCKED_READS=1 readers of the index take its locks, and its words are plain: the
// thread sanitizer cannot see that an optimistic read is validated afterwards.
let indexRules =
    Context.environment["CHUNKDB_LOCKED_READS"] == "1"
    ? houseRules + [.define("LOCKED_READS")] : houseRules

let package = Package(
    name: "ChunkDB",
    products: [
        .library(name: "ChunkDB", targets: ["ChunkDB"]),
        .library(name: "Codecs", targets: ["Codecs"]),
        .library(name: "Feed", targets: ["Feed"]),
        .library(name: "DeviceFeed", targets: ["DeviceFeed"]),
        .library(name: "Fusion", targets: ["Fusion"]),
        .library(name: "BSkiplist", targets: ["BSkiplist"]),
        .library(name: "Retention", targets: ["Retention"]),
        .library(name: "AttentionFeed", targets: ["AttentionFeed", "Attention"]),
        .executable(name: "chunkdb", targets: ["chunkdb"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    ],
    targets: [
        .systemLibrary(name: "CLiburing", providers: [.apt(["liburing-dev"])]),
        .systemLibrary(name: "CLZ4", providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(name: "CXXHash", providers: [.apt(["libxxhash-dev"])]),
        .target(
            name: "Primitives",
            dependencies: ["CXXHash", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: houseRules
        ),
        .target(name: "KVModel", dependencies: ["Primitives"], swiftSettings: houseRules),
        .target(
            name: "ChunkFormat", dependencies: ["Primitives", "KVModel"],
            swiftSettings: houseRules),
        .target(
            name: "BlockIO", dependencies: ["Primitives", "CLiburing", "CSystemCalls"],
            swiftSettings: houseRules),
        .target(
            name: "Codecs", dependencies: ["KVModel", "CLZ4", "CShims"], swiftSettings: houseRules),
        .systemLibrary(name: "CSystemCalls"),
        .systemLibrary(name: "CDeviceDriver"),
        .target(name: "CShims"),
        .target(name: "BSkiplist", dependencies: ["CShims"], swiftSettings: indexRules),
        .target(
            name: "ChunkDB",
            dependencies: [
                "Primitives", "KVModel", "BSkiplist", "BlockIO", "ChunkFormat", "Codecs", "SegmentLog",
                "Retention", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: houseRules),
        .target(
            name: "SegmentLog", dependencies: ["Primitives", "ChunkFormat", "BlockIO"],
            swiftSettings: houseRules),
        .target(
            name: "Retention", dependencies: ["ChunkFormat", "Primitives"],
            swiftSettings: houseRules),
        .target(
            name: "Feed", dependencies: ["ChunkDB", "KVModel", "BlockIO", "ChunkFormat", "Primitives"],
            swiftSettings: houseRules),
        .target(
            name: "DeviceFeed",
            dependencies: [
                "Feed", "ChunkDB", "BlockIO", "ChunkFormat", "KVModel", "Primitives",
                "CDeviceDriver",
            ],
            swiftSettings: houseRules),
        .target(name: "Attention", dependencies: ["KVModel", "Primitives"], swiftSettings: houseRules),
        .target(name: "Fusion", dependencies: ["KVModel", "Primitives"], swiftSettings: houseRules),
        .target(
            name: "AttentionFeed",
            dependencies: [
                "Feed", "Attention", "ChunkDB", "Fusion", "ChunkFormat", "KVModel", "Primitives",
            ],
            swiftSettings: houseRules),
        .executableTarget(
            name: "chunkdb",
            dependencies: [
                "ChunkDB", "Feed", "Attention", "AttentionFeed", "Fusion", "BSkiplist", "SegmentLog",
                "Retention", "ChunkFormat", "Codecs", "BlockIO", "KVModel", "Primitives",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            exclude: ["README.md", "JSON.md", "Completions", "Manual"],
            resources: [.copy("Demo/model"), .copy("Demo/questions.jsonl")],
            swiftSettings: houseRules),
        .target(
            name: "StoreTestSupport", dependencies: ["Primitives", "BlockIO"],
            path: "Tests/StoreTestSupport", swiftSettings: testRules),
        .target(
            name: "EngineTestSupport", dependencies: ["ChunkDB", "StoreTestSupport"],
            path: "Tests/EngineTestSupport", swiftSettings: testRules),
        .testTarget(
            name: "ChunkDBTests",
            dependencies: ["ChunkDB", "Codecs", "EngineTestSupport", "StoreTestSupport"],
            swiftSettings: testRules),
        .testTarget(
            name: "SegmentLogTests",
            dependencies: ["SegmentLog", "ChunkFormat", "Primitives", "StoreTestSupport"],
            swiftSettings: testRules),
        .testTarget(
            name: "CrashTests", dependencies: ["ChunkDB", "EngineTestSupport", "StoreTestSupport"],
            swiftSettings: testRules),
        .testTarget(
            name: "AttentionTests", dependencies: ["Attention", "KVModel", "Primitives"],
            exclude: ["Fixtures", "Reference"], swiftSettings: testRules),
        .testTarget(name: "BSkiplistTests", dependencies: ["BSkiplist", "CShims"], swiftSettings: testRules),
        .testTarget(
            name: "ConcurrencyTests",
            dependencies: ["BSkiplist", "ChunkDB", "EngineTestSupport", "StoreTestSupport"],
            swiftSettings: testRules),
        .testTarget(
            name: "BlockIOTests", dependencies: ["BlockIO", "Primitives"],
            swiftSettings: testRules),
        .testTarget(
            name: "StoreTestSupportTests", dependencies: ["StoreTestSupport", "BlockIO", "Primitives"],
            swiftSettings: testRules),
        .testTarget(
            name: "ChunkFormatTests",
            dependencies: ["ChunkFormat", "CXXHash", "KVModel", "Primitives"],
            swiftSettings: testRules),
        .testTarget(
            name: "CodecsTests", dependencies: ["Codecs", "KVModel", "Primitives"],
            swiftSettings: testRules),
        .testTarget(
            name: "RetentionTests", dependencies: ["Retention", "ChunkFormat", "Primitives"],
            swiftSettings: testRules),
        .testTarget(
            name: "GoldenTests", dependencies: ["ChunkFormat", "KVModel", "Primitives"],
            swiftSettings: testRules),
        .testTarget(
            name: "FuzzTests", dependencies: ["ChunkFormat", "Codecs", "KVModel", "Primitives"],
            exclude: ["Corpus", "LibFuzzer"], swiftSettings: testRules),
        .testTarget(
            name: "ShellTests",
            dependencies: [
                "chunkdb", "ChunkDB", "Primitives", "KVModel", "BlockIO", "ChunkFormat", "SegmentLog",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            exclude: ["Snapshots"], swiftSettings: testRules),
        .testTarget(
            name: "AttentionFeedTests",
            dependencies: [
                "AttentionFeed", "Attention", "Fusion", "KVModel", "Primitives", "ChunkFormat",
                "EngineTestSupport", "StoreTestSupport",
            ],
            swiftSettings: testRules),
        .testTarget(
            name: "ModelTests", dependencies: ["ChunkDB", "EngineTestSupport", "StoreTestSupport"],
            swiftSettings: testRules),
        .testTarget(
            name: "CorruptionTests",
            dependencies: ["ChunkDB", "EngineTestSupport", "StoreTestSupport"],
            swiftSettings: testRules),
        .testTarget(
            name: "SecurityTests",
            dependencies: [
                "chunkdb", "ChunkDB", "Codecs", "SegmentLog", "ChunkFormat", "BlockIO", "KVModel",
                "Primitives", "EngineTestSupport", "StoreTestSupport",
            ],
            exclude: ["README.md"], swiftSettings: testRules),
        .testTarget(
            name: "SimulationTests",
            dependencies: ["ChunkDB", "EngineTestSupport", "StoreTestSupport"],
            swiftSettings: testRules),
        .testTarget(
            name: "FeedTests",
            dependencies: ["Feed", "ChunkDB", "EngineTestSupport", "StoreTestSupport"],
            swiftSettings: testRules),
        .target(name: "CFakeDevice", dependencies: ["CDeviceDriver"], path: "Tests/CFakeDevice"),
        .testTarget(
            name: "DeviceFeedTests",
            dependencies: [
                "DeviceFeed", "CFakeDevice", "ChunkDB", "EngineTestSupport", "StoreTestSupport",
            ],
            swiftSettings: testRules),
        .testTarget(
            name: "FusionTests", dependencies: ["Fusion", "KVModel", "Primitives"],
            swiftSettings: testRules),
        .testTarget(name: "HouseTests", exclude: ["unsafe-ledger.txt"], swiftSettings: testRules),
        .testTarget(name: "PlantTests", exclude: ["plants.txt"], swiftSettings: testRules),
    ],
    swiftLanguageModes: [.v6]
)
