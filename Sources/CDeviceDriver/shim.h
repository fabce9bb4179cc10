// The functions of NVIDIA's driver (libcuda.so.1) and of cuFile (libcufile.so.0) that DeviceFeed
// calls, as types: both libraries are looked for when a program runs, and nothing here is linked.
// Written from the documented interfaces; only what is used. Each type is called as its symbol in
// the library, with `chunkdb_` before it.

#ifndef CHUNKDB_DEVICE_DRIVER_H
#define CHUNKDB_DEVICE_DRIVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// Opaque: a context, a stream, an event.
typedef void *chunkdb_cuda_handle;

// Every function of the driver returns 0 or an error's number.

typedef int32_t (*chunkdb_cuInit)(uint32_t flags);
typedef int32_t (*chunkdb_cuDriverGetVersion)(int32_t *version);
typedef int32_t (*chunkdb_cuGetErrorName)(int32_t error, const char **name);
typedef int32_t (*chunkdb_cuDeviceGetCount)(int32_t *count);
typedef int32_t (*chunkdb_cuDeviceGet)(int32_t *device, int32_t ordinal);
typedef int32_t (*chunkdb_cuDeviceGetName)(char *name, int32_t capacity, int32_t device);

typedef int32_t (*chunkdb_cuDevicePrimaryCtxRetain)(chunkdb_cuda_handle *context, int32_t device);
typedef int32_t (*chunkdb_cuDevicePrimaryCtxRelease_v2)(int32_t device);
typedef int32_t (*chunkdb_cuCtxPushCurrent_v2)(chunkdb_cuda_handle context);
typedef int32_t (*chunkdb_cuCtxPopCurrent_v2)(chunkdb_cuda_handle *context);

typedef int32_t (*chunkdb_cuMemAlloc_v2)(uint64_t *address, size_t byte_count);
typedef int32_t (*chunkdb_cuMemFree_v2)(uint64_t address);
typedef int32_t (*chunkdb_cuMemHostRegister_v2)(void *base, size_t byte_count, uint32_t flags);
typedef int32_t (*chunkdb_cuMemHostUnregister)(void *base);
typedef int32_t (*chunkdb_cuMemcpyHtoDAsync_v2)(
    uint64_t target, const void *source, size_t byte_count, chunkdb_cuda_handle stream);
typedef int32_t (*chunkdb_cuMemcpyDtoH_v2)(void *target, uint64_t source, size_t byte_count);

typedef int32_t (*chunkdb_cuStreamCreate)(chunkdb_cuda_handle *stream, uint32_t flags);
typedef int32_t (*chunkdb_cuStreamSynchronize)(chunkdb_cuda_handle stream);
typedef int32_t (*chunkdb_cuStreamDestroy_v2)(chunkdb_cuda_handle stream);
typedef int32_t (*chunkdb_cuEventCreate)(chunkdb_cuda_handle *event, uint32_t flags);
typedef int32_t (*chunkdb_cuEventRecord)(chunkdb_cuda_handle event, chunkdb_cuda_handle stream);
typedef int32_t (*chunkdb_cuEventSynchronize)(chunkdb_cuda_handle event);
typedef int32_t (*chunkdb_cuEventDestroy_v2)(chunkdb_cuda_handle event);

/// Does not wait for the work of other streams.
static const uint32_t chunkdb_cuda_stream_non_blocking = 1;
/// Whoever waits for the event sleeps; and no time is taken.
static const uint32_t chunkdb_cuda_event_blocking_untimed = 1 | 2;

// cuFile. A result's `error` is 0, or cuFile's number; `driver_error` is the driver's, if any.

struct chunkdb_cufile_result {
    int32_t error, driver_error;
};

/// A file for cuFile: a descriptor that was opened for direct transfers.
struct chunkdb_cufile_file {
    int32_t kind;
    union {
        int32_t descriptor;
        void *handle;
    } place;
    const void *operations;
};
static const int32_t chunkdb_cufile_kind_descriptor = 1;

/// What the library and the kernel's module can do; room for what later versions add behind.
struct chunkdb_cufile_properties {
    uint32_t major_version, minor_version;
    size_t poll_threshold, direct_bytes_max;
    uint32_t status_flags, control_flags;
    uint64_t more[64];
};
/// Bits of `control_flags` and `status_flags`: reads may go through host memory unasked; the
/// kernel's module reads NVMe devices, and by peer-to-peer transfers.
static const uint32_t chunkdb_cufile_allows_compatibility = 1u << 1;
static const uint32_t chunkdb_cufile_reads_nvme = 1u << 4 | 1u << 11;

typedef void *chunkdb_cufile_handle;
typedef struct chunkdb_cufile_result (*chunkdb_cuFileDriverOpen)(void);
typedef struct chunkdb_cufile_result (*chunkdb_cuFileDriverClose)(void);
typedef struct chunkdb_cufile_result (*chunkdb_cuFileDriverGetProperties)(
    struct chunkdb_cufile_properties *properties);
typedef struct chunkdb_cufile_result (*chunkdb_cuFileHandleRegister)(
    chunkdb_cufile_handle *handle, struct chunkdb_cufile_file *file);
typedef void (*chunkdb_cuFileHandleDeregister)(chunkdb_cufile_handle handle);
typedef struct chunkdb_cufile_result (*chunkdb_cuFileBufRegister)(
    const void *base, size_t byte_count, int32_t flags);
typedef struct chunkdb_cufile_result (*chunkdb_cuFileBufDeregister)(const void *base);
/// Bytes read; -1 with `errno`; below that a negated number of cuFile's.
typedef ssize_t (*chunkdb_cuFileRead)(
    chunkdb_cufile_handle handle, void *base, size_t byte_count, off_t file_offset,
    off_t base_offset);

#endif
