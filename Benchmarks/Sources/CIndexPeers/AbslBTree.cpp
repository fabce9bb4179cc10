#include "Peer.hpp"
#ifdef CHUNKDB_PEERS
#include <absl/container/btree_map.h>
#include <mutex>

// 64 trees by the key's top six bits, so that order is kept across them.
struct AbslBTree final : Peer {
    struct alignas(64) Shard {
        std::mutex lock;
        absl::btree_map<index_peer_key, index_peer_value, KeyLess> map;
    };
    Shard shards[64];
    Shard &shard(index_peer_key key) { return shards[key.high >> 58]; }

    bool insert(index_peer_key key, index_peer_value value) override {
        Shard &s = shard(key);
        std::lock_guard<std::mutex> hold(s.lock);
        return s.map.emplace(key, value).second;
    }
    bool lookup(index_peer_key key, index_peer_value *value) override {
        Shard &s = shard(key);
        std::lock_guard<std::mutex> hold(s.lock);
        auto at = s.map.find(key);
        if (at == s.map.end()) return false;
        *value = at->second;
        return true;
    }
    int remove(index_peer_key key) override {
        Shard &s = shard(key);
        std::lock_guard<std::mutex> hold(s.lock);
        return int(s.map.erase(key));
    }
    int scan(index_peer_key key, int limit, uint64_t *sum) override {
        int seen = 0;
        for (uint64_t n = key.high >> 58; n < 64 && seen < limit; ++n) {
            std::lock_guard<std::mutex> hold(shards[n].lock);
            auto &map = shards[n].map;
            for (auto at = map.lower_bound(key); at != map.end() && seen < limit; ++at, ++seen)
                *sum += at->second.v0;
        }
        return seen;
    }
};
Peer *makeAbslBTree() { return new AbslBTree; }
#else
Peer *makeAbslBTree() { return nullptr; }
#endif
