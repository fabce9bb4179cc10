// One flushed transaction a put; reads copy out of the map, through the page cache.
#include "Peer.hpp"
#ifdef CHUNKDB_HAS_LMDB
#include <cstring>
#include <lmdb.h>
#include <memory>

struct LMDBPeer final : StorePeer {
    MDB_env *environment = nullptr;
    MDB_dbi table = 0;

    bool open(const char *directory, size_t capacity) {
        MDB_txn *transaction = nullptr;
        if (mdb_env_create(&environment) || mdb_env_set_mapsize(environment, capacity)
            || mdb_env_open(environment, directory, 0, 0600)
            || mdb_txn_begin(environment, nullptr, 0, &transaction))
            return false;
        if (mdb_dbi_open(transaction, nullptr, MDB_INTEGERKEY, &table)) {
            mdb_txn_abort(transaction);
            return false;
        }
        return mdb_txn_commit(transaction) == 0;
    }
    ~LMDBPeer() override {
        if (environment) mdb_env_close(environment);
    }
    bool put(uint64_t key, const void *bytes, size_t count) override {
        MDB_txn *transaction = nullptr;
        if (mdb_txn_begin(environment, nullptr, 0, &transaction)) return false;
        MDB_val name{sizeof key, &key}, value{count, const_cast<void *>(bytes)};
        if (mdb_put(transaction, table, &name, &value, 0)) {
            mdb_txn_abort(transaction);
            return false;
        }
        return mdb_txn_commit(transaction) == 0;
    }
    bool get(uint64_t key, size_t offset, void *bytes, size_t count) override {
        MDB_txn *transaction = nullptr;
        if (mdb_txn_begin(environment, nullptr, MDB_RDONLY, &transaction)) return false;
        MDB_val name{sizeof key, &key}, value{};
        bool isThere = mdb_get(transaction, table, &name, &value) == 0
            && value.mv_size >= count && offset <= value.mv_size - count;
        if (isThere) std::memcpy(bytes, static_cast<const char *>(value.mv_data) + offset, count);
        mdb_txn_abort(transaction);
        return isThere;
    }
    bool remove(uint64_t key) override {
        MDB_txn *transaction = nullptr;
        if (mdb_txn_begin(environment, nullptr, 0, &transaction)) return false;
        MDB_val name{sizeof key, &key};
        if (mdb_del(transaction, table, &name, nullptr)) {
            mdb_txn_abort(transaction);
            return false;
        }
        return mdb_txn_commit(transaction) == 0;
    }
};

StorePeer *openLMDB(const char *directory, size_t capacity) {
    std::unique_ptr<LMDBPeer> peer(new LMDBPeer);
    return peer->open(directory, capacity) ? peer.release() : nullptr;
}
#else
StorePeer *openLMDB(const char *, size_t) { return nullptr; }
#endif
