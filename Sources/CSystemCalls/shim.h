// System calls that glibc 2.36 has no function for, and facts whose C types Swift does not import
// the same way everywhere. No logic: every decision is on the Swift side.

#ifndef CHUNKDB_SYSTEM_CALLS_H
#define CHUNKDB_SYSTEM_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

// glibc shows the usual names to GNU sources only, and Swift imports no composed macros.
static const int32_t chunkdb_open_direct = __O_DIRECT;
static const int32_t chunkdb_open_unnamed = __O_TMPFILE | O_DIRECTORY;

/// Opens `path` beneath `directory` only, through no link of any kind. A descriptor, or -errno.
static inline int chunkdb_open_beneath(int directory, const char *path, uint64_t flags,
                                       uint64_t mode) {
    struct open_how how = {
        .flags = flags,
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long result = syscall(SYS_openat2, directory, path, &how, sizeof how);
    return result < 0 ? -errno : (int)result;
}

/// What the kernel says about an open file.
struct chunkdb_file_facts {
    uint32_t mode, link_count, owner, device_major, device_minor;
    uint64_t inode, byte_count, allocated_byte_count;
    /// Whether the kernel reports direct-transfer alignment, and what; 0 means "not possible".
    uint32_t knows_direct, direct_memory_alignment, direct_offset_alignment;
};

#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x2000U
#endif

/// 0, or -errno. Fields of an older kernel's answer stay 0.
static inline int chunkdb_file_facts_of(int descriptor, struct chunkdb_file_facts *facts) {
    struct statx answer = {0};
    unsigned wanted = STATX_BASIC_STATS | STATX_DIOALIGN;
    if (syscall(SYS_statx, descriptor, "", 0x1000 /* AT_EMPTY_PATH */, wanted, &answer) != 0)
        return -errno;
    facts->mode = answer.stx_mode;
    facts->link_count = answer.stx_nlink;
    facts->owner = answer.stx_uid;
    facts->device_major = answer.stx_dev_major;
    facts->device_minor = answer.stx_dev_minor;
    facts->inode = answer.stx_ino;
    facts->byte_count = answer.stx_size;
    facts->allocated_byte_count = answer.stx_blocks * 512;
    facts->knows_direct = (answer.stx_mask & STATX_DIOALIGN) != 0;
    facts->direct_memory_alignment = answer.stx_dio_mem_align;
    facts->direct_offset_alignment = answer.stx_dio_offset_align;
    return 0;
}

/// Reserves the blocks of the first `byte_count` bytes and grows the file to them. 0, or -errno.
static inline int chunkdb_allocate(int descriptor, uint64_t byte_count) {
    return syscall(SYS_fallocate, descriptor, 0, (off_t)0, (off_t)byte_count) == 0 ? 0 : -errno;
}

/// Tells how long what is written to the file will live: RWH_WRITE_LIFE_*. 0, or -errno.
static inline int chunkdb_set_lifetime(int descriptor, uint64_t lifetime) {
    return fcntl(descriptor, 1024 + 12 /* F_SET_RW_HINT */, &lifetime) == 0 ? 0 : -errno;
}

/// Lets the calling thread run on these processors only, a bit each. 0, or -errno.
static inline int chunkdb_pin_thread(const uint64_t *words, uint32_t word_count) {
    return syscall(SYS_sched_setaffinity, 0, word_count * sizeof *words, words) == 0 ? 0 : -errno;
}

/// The number that names the file system's kind; 0 if the kernel does not say.
static inline uint64_t chunkdb_file_system_magic(int descriptor) {
    struct statfs facts;
    return fstatfs(descriptor, &facts) == 0 ? (uint64_t)(uint32_t)facts.f_type : 0;
}

#endif
