// Values in blob files (BlobDB), everything direct, the log flushed for every put: RocksDB as its
// authors would set it up for large values that must not be lost.
#include "Peer.hpp"
#ifdef CHUNKDB_HAS_ROCKSDB
#include <cstring>
#include <memory>
#include <rocksdb/db.h>

struct RocksDBPeer final : StorePeer {
    std::unique_ptr<rocksdb::DB> db;
    rocksdb::WriteOptions write;

    bool open(const char *directory) {
        rocksdb::Options options;
        options.create_if_missing = true;
        options.enable_blob_files = true;
        options.min_blob_size = 4096;
        options.blob_file_size = uint64_t(1) << 30;
        options.use_direct_reads = true;
        options.use_direct_io_for_flush_and_compaction = true;
        options.compression = rocksdb::kNoCompression;
        options.write_buffer_size = 256 << 20;
        options.max_write_buffer_number = 4;
        options.max_background_jobs = 2;
        write.sync = true;
        rocksdb::DB *made = nullptr;
        if (!rocksdb::DB::Open(options, directory, &made).ok()) return false;
        db.reset(made);
        return true;
    }
    static rocksdb::Slice slice(const uint64_t &key) {
        return rocksdb::Slice(reinterpret_cast<const char *>(&key), sizeof key);
    }
    bool put(uint64_t key, const void *bytes, size_t count) override {
        rocksdb::Slice value(static_cast<const char *>(bytes), count);
        return db->Put(write, slice(key), value).ok();
    }
    // There is no partial read: a range fetches the whole value.
    bool get(uint64_t key, size_t offset, void *bytes, size_t count) override {
        rocksdb::PinnableSlice found;
        auto family = db->DefaultColumnFamily();
        if (!db->Get(rocksdb::ReadOptions(), family, slice(key), &found).ok()) return false;
        if (found.size() < count || offset > found.size() - count) return false;
        std::memcpy(bytes, found.data() + offset, count);
        return true;
    }
    bool remove(uint64_t key) override { return db->Delete(write, slice(key)).ok(); }
};

StorePeer *openRocksDB(const char *directory) {
    std::unique_ptr<RocksDBPeer> peer(new RocksDBPeer);
    return peer->open(directory) ? peer.release() : nullptr;
}
#else
StorePeer *openRocksDB(const char *) { return nullptr; }
#endif
