import Fusion
import Primitives
import Testing

@Suite("Profiles from measurements")
struct FitTests {
    @Test("by hand")
    func byHand() throws {
        // 1 ms and 1 GB/s: 2 ms for a megabyte, 5 ms for four.
        let device = try DeviceProfile(fitting: [
            ReadSample(bytes: 1_000_000, seconds: 0.002),
            ReadSample(bytes: 4_000_000, seconds: 0.005),
        ])
        #expect(isNear(device.bytesPerSecond / 1e9, 1, 1e-6))
        #expect(isNear(device.fixedSeconds, 0.001, 1e-9))
        // One sample: all of it is put down to bytes.
        let one = try DeviceProfile(fitting: [ReadSample(bytes: 500, seconds: 0.5)])
        #expect(isNear(one.bytesPerSecond, 1_000, 1e-6) && one.fixedSeconds == 0)
        // 2 ms a token and 1 ms a pair: 10 tokens have 55 pairs, 4 behind 6 have 34.
        let compute = try ComputeProfile(
            fitting: [
                PrefillSample(tokenCount: 10, seconds: 0.02 + 0.055),
                PrefillSample(tokenCount: 4, prefixTokenCount: 6, seconds: 0.008 + 0.034),
                PrefillSample(tokenCount: 1, seconds: 0.002 + 0.001),
            ], projectionShare: 0.2)
        #expect(isNear(compute.secondsPerToken, 0.002) && isNear(compute.secondsPerPair, 0.001))
        #expect(isNear(compute.fixedSeconds, 0, 1e-12) && compute.projectionShare == 0.2)
    }

    @Test("what was measured without noise is found again", arguments: Array(UInt64(1)...30))
    func exact(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let truth = try ComputeProfile(
            secondsPerToken: 1e-5 + random.unit() * 1e-3, secondsPerPair: random.unit() * 1e-6,
            fixedSeconds: random.unit() * 1e-2, projectionShare: 0.1)
        let samples = [(16, 0), (100, 0), (256, 64), (1_000, 0), (2_000, 500), (64, 4_000)].map {
            PrefillSample(
                tokenCount: $0.0, prefixTokenCount: $0.1,
                seconds: truth.prefillSeconds(tokenCount: $0.0, prefixTokenCount: $0.1))
        }
        let found = try ComputeProfile(fitting: samples, projectionShare: 0.1)
        #expect(isNear(found.secondsPerToken / truth.secondsPerToken, 1, 1e-4))
        #expect(isNear(found.secondsPerPair, truth.secondsPerPair, 1e-10))
        #expect(isNear(found.fixedSeconds, truth.fixedSeconds, 1e-7))
    }

    @Test(
        "with noise no cost is negative, and what was measured is near",
        arguments: Array(UInt64(1)...30))
    func noisy(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let speed = 1e6 + random.unit() * 1e9
        let samples = (0..<8).map { index in
            ReadSample(
                bytes: 4_096 << UInt64(index),
                seconds: Double(4_096 << index) / speed * (0.9 + 0.2 * random.unit()))
        }
        let device = try DeviceProfile(fitting: samples)
        #expect(device.fixedSeconds >= 0)
        for sample in samples {
            let ratio = device.loadSeconds(bytes: sample.bytes) / sample.seconds
            #expect((0.75...1.35).contains(ratio))
        }
    }

    @Test("nothing and nonsense are refused")
    func refused() {
        #expect(throws: FusionError.profile("samples", 0)) {
            try DeviceProfile(fitting: [])
        }
        for seconds in [0, -1, Double.nan, .infinity] {
            #expect(throws: FusionError.profile("samples", 1)) {
                try DeviceProfile(fitting: [ReadSample(bytes: 9, seconds: seconds)])
            }
        }
        #expect(throws: FusionError.self) {
            try ComputeProfile(
                fitting: [PrefillSample(tokenCount: 0, seconds: 1)], projectionShare: 0.1)
        }
        #expect(throws: FusionError.self) {
            try ComputeProfile(
                fitting: [PrefillSample(tokenCount: 5, seconds: 1)], projectionShare: 2)
        }
    }
}
