// Ctrl-C while a session runs a verb: the verb ends and the session goes on. A one-shot `chunkdb`
// watches nothing, and the signal ends it as it ends every process; unless its verb has something
// to put in order first.

import Glibc
import Synchronization

enum Interruption {
    private static let isPending = Atomic<Bool>(false)
    private static let isWatching = Atomic<Bool>(false)

    /// From now on Ctrl-C is noted instead of ending the process.
    static func watch() {
        // The first use makes the atomic; a signal handler may not.
        isPending.store(false, ordering: .relaxed)
        isWatching.store(true, ordering: .relaxed)
        signal(SIGINT) { _ in Interruption.isPending.store(true, ordering: .relaxed) }
    }

    /// In a session nothing; otherwise the first Ctrl-C is noted, and the next ends the process.
    static func watchOnce() {
        if isWatching.load(ordering: .relaxed) { return }
        isPending.store(false, ordering: .relaxed)
        signal(SIGINT) { _ in
            Interruption.isPending.store(true, ordering: .relaxed)
            signal(SIGINT, SIG_DFL)
        }
    }

    /// Before each verb: what was pressed before was meant for another.
    static func clear() { isPending.store(false, ordering: .relaxed) }

    /// *Throws:* `.interrupted` when Ctrl-C was pressed; for loops that take long.
    static func check() throws(ShellError) {
        if isPending.load(ordering: .relaxed) { throw ShellError(.interrupted, "interrupted") }
    }
}
