// Other people's indexes behind one C door: 16-byte keys, 24-byte values. Built with peers only
// under CHUNKDB_PEERS=1 (see Package.swift); otherwise `index_peer_create` gives NULL for all but
// std::map.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#if !defined(__x86_64__)
#include <time.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct { uint64_t high, low; } index_peer_key;
typedef struct { uint64_t v0, v1, v2; } index_peer_value;
enum {
    index_peer_absl_btree = 0, index_peer_rocksdb = 1, index_peer_tbb_map = 2,
    index_peer_tbb_unordered = 3, index_peer_std_map = 4
};

/// NULL when the peer is not compiled in, or could not start.
void *index_peer_create(int kind);
/// RocksDB overwrites without looking and says true; all others say whether the key is new.
bool index_peer_insert(void *peer, index_peer_key key, index_peer_value value);
bool index_peer_lookup(void *peer, index_peer_key key, index_peer_value *value);
/// 1 removed, 0 absent, -1 when the peer has no concurrent removal. RocksDB writes a tombstone.
int index_peer_remove(void *peer, index_peer_key key);
/// Entries visited from `key` on, at most `limit`; -1 when the peer has no order.
int index_peer_scan(void *peer, index_peer_key key, int limit, uint64_t *sum);
void index_peer_destroy(void *peer);

/// The time-stamp counter, with nothing moved across it.
static inline uint64_t index_peer_ticks(void) {
#if defined(__x86_64__)
    __builtin_ia32_lfence();
    uint64_t ticks = __builtin_ia32_rdtsc();
    __builtin_ia32_lfence();
    return ticks;
#else
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
#endif
}

#ifdef __cplusplus
}
#endif
