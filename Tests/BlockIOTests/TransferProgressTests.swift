import Glibc
import Testing

@testable import BlockIO

/// What a kernel's count means, case by case.
@Suite struct TransferProgressTests {
    private func make(_ isRead: Bool = true, _ byteCount: Int = 16_384) -> TransferProgress {
        TransferProgress(isRead: isRead, byteCount: byteCount, alignment: 4_096)
    }

    @Test func wholeCount() {
        var progress = make()
        #expect(progress.advance(by: 16_384) { nil } == .complete)
        #expect(progress.done == 16_384)
    }

    @Test func shortCountGoesOnFromABoundary() {
        var progress = make()
        #expect(progress.advance(by: 5_000) { 100_000 } == .resume)
        #expect(progress.done == 4_096)
        #expect(progress.advance(by: 12_288) { nil } == .complete)
    }

    @Test func zeroMeansEndOrError() {
        var read = make()
        #expect(read.advance(by: 0) { nil } == .endOfFile && read.done == 0)
        var write = make(false)
        #expect(write.advance(by: 8_192) { nil } == .resume)
        #expect(write.advance(by: 0) { nil } == .failed(EIO) && write.done == 8_192)
    }

    @Test func endInsideABlock() {
        var progress = make()
        #expect(progress.advance(by: 5_000) { 5_000 } == .endOfFile)
        #expect(progress.done == 5_000)
    }

    @Test(arguments: [EINTR, EAGAIN, ECANCELED])
    func passingTrouble(number: Int32) {
        var progress = make(false)
        for _ in 1..<TransferProgress.patience {
            #expect(progress.advance(by: -Int(number)) { nil } == .resume)
        }
        #expect(progress.advance(by: -Int(number)) { nil } == .failed(number))
    }

    @Test func noProgressEnds() {
        var progress = make()
        var step = TransferProgress.Step.resume
        for _ in 0..<TransferProgress.patience where step == .resume {
            step = progress.advance(by: 512) { 100_000 }
        }
        #expect(step == .failed(EAGAIN))
    }

    @Test func lastingTrouble() {
        var progress = make()
        #expect(progress.advance(by: -Int(EIO)) { nil } == .failed(EIO))
    }
}
