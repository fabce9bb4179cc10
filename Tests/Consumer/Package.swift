// swift-tools-version: 6.2
import PackageDescription

// A user's package. The test that builds it replaces the path by a tagged copy of this repository.
let package = Package(
    name: "consumer",
    dependencies: [.package(url: "REPOSITORY", exact: "0.0.1")],
    targets: [
        .executableTarget(
            name: "consumer",
            dependencies: [
                .product(name: "ChunkDB", package: "REPOSITORY-NAME"),
                .product(name: "Feed", package: "REPOSITORY-NAME"),
            ])
    ]
)
