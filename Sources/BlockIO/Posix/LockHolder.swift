// Who holds a lock: a process, or the ghost of one.
//
// When a process with a ring is killed, the kernel ends its requests and then gives its files back,
// locks among them, in a worker of its own. On a busy machine that took more than a quarter of a
// second. The next opener should wait for that, and should not wait for a process that lives.

import CSystemCalls
import Glibc

enum LockHolder {
    /// Whether the kernel's table of locks names a holder of the file's lock who is dead.
    /// Where the table says nothing, false.
    static func isDead(of descriptor: Int32) -> Bool {
        guard let facts = try? SystemCalls.facts(descriptor),
            let table = SystemCalls.text(ofFile: "/proc/locks")
        else { return false }
        let file = [
            hex(facts.device_major), hex(facts.device_minor), String(facts.inode),
        ].joined(separator: ":")
        // `7: FLOCK  ADVISORY  WRITE 4242 fe:00:131077 0 EOF`; waiting lines have an arrow.
        for line in table.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count >= 6, fields[1] == "FLOCK", fields[5] == file,
                let process = pid_t(fields[4]), process > 0
            else { continue }
            return isDead(process)
        }
        return false
    }

    private static func hex(_ number: UInt32) -> String {
        let text = String(number, radix: 16)
        return text.count < 2 ? "0" + text : text
    }

    /// Gone, or a zombie whose parent has not looked yet.
    private static func isDead(_ process: pid_t) -> Bool {
        if kill(process, 0) != 0 { return errno == ESRCH }
        guard let status = SystemCalls.text(ofFile: "/proc/\(process)/stat"),
            let name = status.lastIndex(of: ")")
        else { return false }
        return status[name...].dropFirst(2).first == "Z"
    }
}
