// swift-tools-version: 6.2
import PackageDescription

// A package of its own: the sanitizers' flags must not reach the root's manifest, and the run is
// not part of `swift test`. Build and run as `README.md` says; the flags come from the command.

let package = Package(
    name: "DecoderFuzzer",
    dependencies: [.package(name: "ChunkDB", path: "../../..")],
    targets: [
        .executableTarget(
            name: "DecoderFuzzer",
            dependencies: [.product(name: "ChunkDB", package: "ChunkDB")])
    ],
    swiftLanguageModes: [.v6]
)
