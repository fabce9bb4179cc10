#include "Peer.hpp"
#include <fcntl.h>

static StorePeer *of(void *peer) { return static_cast<StorePeer *>(peer); }

bool store_peer_is_built(int kind) {
#ifdef CHUNKDB_HAS_ROCKSDB
    if (kind == store_peer_rocksdb) return true;
#endif
#ifdef CHUNKDB_HAS_LMDB
    if (kind == store_peer_lmdb) return true;
#endif
    return false;
}
void *store_peer_open(int kind, const char *directory, size_t capacity) {
    if (kind == store_peer_rocksdb) return openRocksDB(directory);
    return kind == store_peer_lmdb ? openLMDB(directory, capacity) : nullptr;
}
bool store_peer_put(void *peer, uint64_t key, const void *bytes, size_t count) {
    return of(peer)->put(key, bytes, count);
}
bool store_peer_get(void *peer, uint64_t key, size_t offset, void *bytes, size_t count) {
    return of(peer)->get(key, offset, bytes, count);
}
bool store_peer_remove(void *peer, uint64_t key) { return of(peer)->remove(key); }
void store_peer_close(void *peer) { delete of(peer); }
int store_peer_direct_flag(void) { return O_DIRECT; }
