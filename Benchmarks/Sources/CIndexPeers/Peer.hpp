// What each peer's own file implements; one virtual call (about 1 ns) is inside their figures.
#pragma once
#include "CIndexPeers.h"

struct Peer {
    virtual ~Peer() = default;
    virtual bool insert(index_peer_key key, index_peer_value value) = 0;
    virtual bool lookup(index_peer_key key, index_peer_value *value) = 0;
    virtual int remove(index_peer_key) { return -1; }
    virtual int scan(index_peer_key, int, uint64_t *) { return -1; }
};

struct KeyLess {
    bool operator()(const index_peer_key &a, const index_peer_key &b) const {
        return a.high != b.high ? a.high < b.high : a.low < b.low;
    }
};

Peer *makeAbslBTree();
Peer *makeRocksDB();
Peer *makeTBBMap();
Peer *makeTBBUnordered();
Peer *makeStdMap();
