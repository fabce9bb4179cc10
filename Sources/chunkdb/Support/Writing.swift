// What every verb that changes a store does first: says what it will do, asks whoever sits there,
// and opens the engine, which takes the lock that a running process holds.

import ArgumentParser
import ChunkDB
import Primitives
import Retention

struct WriteArguments: ParsableArguments {
    @Flag(help: "Do it without asking; needed where nobody can be asked.")
    var yes = false

    @Flag(help: "Say what would be done, and do nothing.")
    var dryRun = false

    /// Whether to go on. The plan goes to `errors`, so that JSON stays alone on the output.
    /// *Throws:* `.usage` when nobody can be asked, or the answer is no.
    func mayGoOn(_ plan: [String], on console: Console) throws(ShellError) -> Bool {
        for line in plan { console.errors.write(printable(line) + "\n") }
        if dryRun { return false }
        if yes { return true }
        guard let ask = console.ask else {
            throw ShellError(.usage, "nothing was done: add --yes to do it, or --dry-run")
        }
        guard ask("Do it? [y/N] ") else {
            throw ShellError(.usage, "nothing was done")
        }
        return true
    }
}

extension StoreArguments {
    /// The engine on the store that `view` shows, under the policy that made its scores, if it is
    /// known. Opening mends what recovery mends; closing writes a checkpoint.
    /// *Throws:* `.cannotOpen`, also while another process holds the store.
    func openEngine(_ view: StoreView, evicts: Bool = true) throws(ShellError) -> ChunkDB {
        var options = StoreOptions(createsIfMissing: false)
        options.disk.buffered = buffered
        options.disk.engine = engine
        options.evicts = evicts
        if let policy = PolicyReport(view).policy { options.retentionPolicy = policy }
        let chosen = options
        let path = path
        do throws(StoreError) {
            return try wait { () async throws(StoreError) in
                try await ChunkDB.open(at: path, options: chosen)
            }
        } catch {
            throw ShellError(.cannotOpen, "\(path): \(error)")
        }
    }

    /// *Throws:* `.cannotOpen` while another process is seen to hold the store.
    func requireAtRest(_ view: StoreView) throws(ShellError) {
        if view.isOpenElsewhere {
            throw ShellError(
                .cannotOpen, "\(view.path) is open elsewhere; what changes it needs it at rest")
        }
    }
}

extension ChunkDB {
    /// Runs one change and closes the store, whatever comes of it.
    /// *Throws:* `.cannotWrite` with the engine's reason.
    func change<Success: Sendable>(
        _ body: @escaping @Sendable (ChunkDB) async throws -> Success
    ) throws(ShellError) -> Success {
        let result = CallerThread.wait { () async -> Result<Success, ShellError> in
            let result: Result<Success, ShellError>
            do {
                result = .success(try await body(self))
            } catch let error as ShellError {
                result = .failure(error)
            } catch {
                result = .failure(ShellError(.cannotWrite, "\(error)"))
            }
            await self.close()
            return result
        }
        return try result.get()
    }
}
