// RocksDB as a memtable only: a write buffer that never fills, no log, no compaction.
#include "Peer.hpp"
#ifdef CHUNKDB_PEERS
#include <cstdlib>
#include <cstring>
#include <memory>
#include <rocksdb/db.h>
#include <rocksdb/memtablerep.h>
#include <string>

struct RocksDBPeer final : Peer {
    rocksdb::DB *db = nullptr;
    std::string path;
    rocksdb::Options options;
    rocksdb::WriteOptions write;
    rocksdb::ReadOptions read;

    static void encode(index_peer_key key, char *bytes) {
        uint64_t high = __builtin_bswap64(key.high), low = __builtin_bswap64(key.low);
        std::memcpy(bytes, &high, 8);
        std::memcpy(bytes + 8, &low, 8);
    }
    bool open() {
        const char *base = std::getenv("TMPDIR");
        path = std::string(base ? base : "/tmp") + "/chunkdb-peer-XXXXXX";
        if (!mkdtemp(path.data())) return false;
        options.create_if_missing = true;
        options.write_buffer_size = size_t(8) << 30;
        options.db_write_buffer_size = 0;
        options.arena_block_size = 1 << 20;
        options.disable_auto_compactions = true;
        options.avoid_flush_during_shutdown = true;
        options.memtable_factory.reset(new rocksdb::SkipListFactory);
        write.disableWAL = true;
        return rocksdb::DB::Open(options, path, &db).ok();
    }
    ~RocksDBPeer() override {
        delete db;
        rocksdb::DestroyDB(path, options);
    }
    bool insert(index_peer_key key, index_peer_value value) override {
        char bytes[16];
        encode(key, bytes);
        rocksdb::Slice data(reinterpret_cast<const char *>(&value), sizeof value);
        return db->Put(write, rocksdb::Slice(bytes, 16), data).ok();
    }
    bool lookup(index_peer_key key, index_peer_value *value) override {
        char bytes[16];
        encode(key, bytes);
        rocksdb::PinnableSlice found;
        auto family = db->DefaultColumnFamily();
        if (!db->Get(read, family, rocksdb::Slice(bytes, 16), &found).ok()) return false;
        if (found.size() != sizeof *value) return false;
        std::memcpy(value, found.data(), sizeof *value);
        return true;
    }
    int remove(index_peer_key key) override {
        char bytes[16];
        encode(key, bytes);
        return db->Delete(write, rocksdb::Slice(bytes, 16)).ok() ? 1 : 0;
    }
    int scan(index_peer_key key, int limit, uint64_t *sum) override {
        char bytes[16];
        encode(key, bytes);
        std::unique_ptr<rocksdb::Iterator> at(db->NewIterator(read));
        int seen = 0;
        for (at->Seek(rocksdb::Slice(bytes, 16)); at->Valid() && seen < limit; at->Next()) {
            uint64_t first;
            std::memcpy(&first, at->value().data(), 8);
            *sum += first;
            ++seen;
        }
        return seen;
    }
};
Peer *makeRocksDB() {
    auto peer = new RocksDBPeer;
    if (peer->open()) return peer;
    delete peer;
    return nullptr;
}
#else
Peer *makeRocksDB() { return nullptr; }
#endif
