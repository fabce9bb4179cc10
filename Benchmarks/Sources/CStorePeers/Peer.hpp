#pragma once
#include "CStorePeers.h"

struct StorePeer {
    virtual ~StorePeer() = default;
    virtual bool put(uint64_t key, const void *bytes, size_t count) = 0;
    virtual bool get(uint64_t key, size_t offset, void *bytes, size_t count) = 0;
    virtual bool remove(uint64_t key) = 0;
};

StorePeer *openRocksDB(const char *directory);
StorePeer *openLMDB(const char *directory, size_t capacity);
