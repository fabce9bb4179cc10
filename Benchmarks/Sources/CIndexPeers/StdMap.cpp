#include "Peer.hpp"
#include <map>
#include <mutex>
#include <shared_mutex>

struct StdMap final : Peer {
    std::shared_mutex lock;
    std::map<index_peer_key, index_peer_value, KeyLess> map;

    bool insert(index_peer_key key, index_peer_value value) override {
        std::unique_lock<std::shared_mutex> hold(lock);
        return map.emplace(key, value).second;
    }
    bool lookup(index_peer_key key, index_peer_value *value) override {
        std::shared_lock<std::shared_mutex> hold(lock);
        auto at = map.find(key);
        if (at == map.end()) return false;
        *value = at->second;
        return true;
    }
    int remove(index_peer_key key) override {
        std::unique_lock<std::shared_mutex> hold(lock);
        return int(map.erase(key));
    }
    int scan(index_peer_key key, int limit, uint64_t *sum) override {
        std::shared_lock<std::shared_mutex> hold(lock);
        int seen = 0;
        for (auto at = map.lower_bound(key); at != map.end() && seen < limit; ++at, ++seen)
            *sum += at->second.v0;
        return seen;
    }
};
Peer *makeStdMap() { return new StdMap; }
