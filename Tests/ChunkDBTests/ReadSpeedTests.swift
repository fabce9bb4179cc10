import EngineTestSupport
import Testing

@testable import ChunkDB

/// What the engine says of its device, from reads whose times are known.
@Suite("The speed of reads")
struct ReadSpeedTests {
    /// Reads of `bytes` one after the other, each taking `fixed + bytes / rate`.
    private static func spell(
        _ meter: inout ReadMeter, _ now: inout UInt64, bytes: Int, fixed: Double = 1e-4,
        rate: Double = 1e9
    ) {
        meter.begin(at: now)
        now += UInt64((fixed + Double(bytes) / rate) * 1e9)
        meter.end(byteCount: bytes, at: now)
        now += 5_000_000  // Idle time is nobody's cost.
    }

    @Test("rate and fixed part are told apart by reads of different sizes")
    func line() throws {
        var meter = ReadMeter()
        var now: UInt64 = 1
        for index in 0..<40 {
            #expect((meter.speed == nil) == (index < 16))
            Self.spell(&meter, &now, bytes: [4_096, 1 << 20, 1 << 18][index % 3])
        }
        let speed = try #require(meter.speed)
        #expect((speed.bytesPerSecond / 1e9 - 1).magnitude < 1e-3)
        #expect((speed.fixedSeconds / 1e-4 - 1).magnitude < 1e-3)
        #expect(speed.spellCount == 40)
    }

    @Test("reads of one size are put down to bytes")
    func oneSize() throws {
        var meter = ReadMeter()
        var now: UInt64 = 1
        for _ in 0..<20 { Self.spell(&meter, &now, bytes: 100_000) }
        let speed = try #require(meter.speed)
        #expect(speed.fixedSeconds == 0)
        #expect((speed.bytesPerSecond / 5e8 - 1).magnitude < 1e-3, "100,000 bytes in 200 µs")
    }

    @Test("reads beside each other are one spell, and none that failed counts")
    func overlapped() throws {
        var meter = ReadMeter()
        var now: UInt64 = 1
        for _ in 0..<20 {
            for _ in 0..<8 { meter.begin(at: now) }
            for _ in 0..<8 {
                now += 1_000_000
                meter.end(byteCount: 1_000_000, at: now)
            }
            now += 77
        }
        #expect((try #require(meter.speed).bytesPerSecond / 1e9 - 1).magnitude < 1e-3)
        let before = meter.speed
        meter.begin(at: now)
        meter.begin(at: now)
        meter.end(byteCount: nil, at: now + 9_000_000_000)
        meter.end(byteCount: 1_000_000, at: now + 9_000_000_001)
        #expect(meter.speed == before)
    }

    @Test("a device that is never idle is measured all the same, and follows its changes")
    func busy() throws {
        var meter = ReadMeter()
        var now: UInt64 = 1
        meter.begin(at: now)
        for rate in [1.0, 4.0] {
            for _ in 0..<8_000 {
                meter.begin(at: now)
                now += UInt64(1_000_000 / rate)
                meter.end(byteCount: 1_000_000, at: now)
            }
            let speed = try #require(meter.speed)
            #expect((speed.bytesPerSecond / (rate * 1e9) - 1).magnitude < 0.05)
        }
    }

    @Test("a clock that stands still or runs back makes no number")
    func clocks() {
        var meter = ReadMeter()
        for _ in 0..<20 {
            meter.begin(at: 100)
            meter.end(byteCount: 4_096, at: 100)
            meter.begin(at: 100)
            meter.end(byteCount: 4_096, at: 50)
        }
        #expect(meter.speed == nil)
    }

    @Test("a store knows after some reads how fast they were")
    func store() throws {
        let place = StorePlace(.real(.automatic))
        try place.session { db in
            let space = try await db.namespace("acme", model: smallBinding())
            for owner in 1..<30 as Range<UInt64> {
                try await TestChunk(owner, tokenCount: 16 * Int(owner)).put(in: space)
            }
            for owner in 1..<30 as Range<UInt64> {
                let chunk = TestChunk(owner, tokenCount: 16 * Int(owner))
                _ = try await space.mustGet(chunk.key(in: space))
            }
            let speed = try #require(db.readSpeed)
            #expect(speed == space.readSpeed)
            #expect(speed.bytesPerSecond > 1e5 && speed.bytesPerSecond < 1e12)
            #expect(speed.fixedSeconds >= 0 && speed.fixedSeconds < 1)
            #expect(speed.spellCount >= 29)
        }
    }
}
