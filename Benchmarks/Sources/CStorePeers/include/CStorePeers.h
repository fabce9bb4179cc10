// Other people's stores behind one C door: 8-byte keys, values of any size. Each is built if its
// header was there when the manifest was read (see Package.swift); otherwise it cannot be opened.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { store_peer_rocksdb = 0, store_peer_lmdb = 1 };

bool store_peer_is_built(int kind);
/// Makes the store or opens it. NULL when the peer is not built, or could not.
void *store_peer_open(int kind, const char *directory, size_t capacity);
/// Durable on return.
bool store_peer_put(void *peer, uint64_t key, const void *bytes, size_t count);
/// `count` bytes from `offset` on, into the caller's memory; false when there are not so many.
bool store_peer_get(void *peer, uint64_t key, size_t offset, void *bytes, size_t count);
/// Durable on return; false when there was nothing, as far as the peer can tell.
bool store_peer_remove(void *peer, uint64_t key);
void store_peer_close(void *peer);

/// O_DIRECT, which the C library names for C++ alone.
int store_peer_direct_flag(void);

#ifdef __cplusplus
}
#endif
