#include "Peer.hpp"

extern "C" {
void *index_peer_create(int kind) {
    switch (kind) {
    case index_peer_absl_btree: return makeAbslBTree();
    case index_peer_rocksdb: return makeRocksDB();
    case index_peer_tbb_map: return makeTBBMap();
    case index_peer_tbb_unordered: return makeTBBUnordered();
    case index_peer_std_map: return makeStdMap();
    default: return nullptr;
    }
}
bool index_peer_insert(void *peer, index_peer_key key, index_peer_value value) {
    return static_cast<Peer *>(peer)->insert(key, value);
}
bool index_peer_lookup(void *peer, index_peer_key key, index_peer_value *value) {
    return static_cast<Peer *>(peer)->lookup(key, value);
}
int index_peer_remove(void *peer, index_peer_key key) {
    return static_cast<Peer *>(peer)->remove(key);
}
int index_peer_scan(void *peer, index_peer_key key, int limit, uint64_t *sum) {
    return static_cast<Peer *>(peer)->scan(key, limit, sum);
}
void index_peer_destroy(void *peer) { delete static_cast<Peer *>(peer); }
}
