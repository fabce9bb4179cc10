// Neither map has a removal that may run beside others (`unsafe_erase` only): none is offered.
#include "Peer.hpp"
#ifdef CHUNKDB_PEERS
#include <tbb/concurrent_map.h>
#include <tbb/concurrent_unordered_map.h>

struct TBBMap final : Peer {
    tbb::concurrent_map<index_peer_key, index_peer_value, KeyLess> map;

    bool insert(index_peer_key key, index_peer_value value) override {
        return map.emplace(key, value).second;
    }
    bool lookup(index_peer_key key, index_peer_value *value) override {
        auto at = map.find(key);
        if (at == map.end()) return false;
        *value = at->second;
        return true;
    }
    int scan(index_peer_key key, int limit, uint64_t *sum) override {
        int seen = 0;
        for (auto at = map.lower_bound(key); at != map.end() && seen < limit; ++at, ++seen)
            *sum += at->second.v0;
        return seen;
    }
};

struct KeyHash {
    size_t operator()(const index_peer_key &key) const { return key.high ^ key.low; }
};
struct KeyEqual {
    bool operator()(const index_peer_key &a, const index_peer_key &b) const {
        return a.high == b.high && a.low == b.low;
    }
};

struct TBBUnordered final : Peer {
    tbb::concurrent_unordered_map<index_peer_key, index_peer_value, KeyHash, KeyEqual> map;

    bool insert(index_peer_key key, index_peer_value value) override {
        return map.emplace(key, value).second;
    }
    bool lookup(index_peer_key key, index_peer_value *value) override {
        auto at = map.find(key);
        if (at == map.end()) return false;
        *value = at->second;
        return true;
    }
};
Peer *makeTBBMap() { return new TBBMap; }
Peer *makeTBBUnordered() { return new TBBUnordered; }
#else
Peer *makeTBBMap() { return nullptr; }
Peer *makeTBBUnordered() { return nullptr; }
#endif
