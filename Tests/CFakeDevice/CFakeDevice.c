#define _GNU_SOURCE
#include "CFakeDevice.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../Sources/CDeviceDriver/shim.h"

enum {
    success = 0,
    invalid_value = 1,
    out_of_memory = 2,
    invalid_device = 101,
    invalid_context = 201,
    thing_count = 256,
};

struct range {
    uintptr_t base;
    size_t byte_count;
};
struct copy {
    struct copy *next;
    uint64_t target;
    const void *source;
    size_t byte_count;
};
struct stream {
    struct copy *first, *last;
    uint64_t started, done;
};
struct event {
    struct stream *stream;
    uint64_t mark;
};
struct fault {
    char name[64];
    int left, error, lasts;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct range memory[thing_count], pinned[thing_count], targets[thing_count];
static int contexts, streams, events, drivers, handles, copies, waits, violations;
static int device_count, is_held, delay, copy_fault, copy_error, copy_lasts, broken;
static char hidden[64];
static struct fault faults[8];
static uint64_t random_state;
static uint32_t status_flags, control_flags;
static size_t read_limit;
static int the_context;
static __thread int current, depth;

void fake_reset(void) {
    pthread_mutex_lock(&lock);
    memset(memory, 0, sizeof memory);
    memset(pinned, 0, sizeof pinned);
    memset(targets, 0, sizeof targets);
    memset(faults, 0, sizeof faults);
    contexts = streams = events = drivers = handles = copies = waits = violations = 0;
    is_held = delay = copy_fault = copy_error = copy_lasts = broken = 0;
    device_count = 1;
    hidden[0] = 0;
    status_flags = 1u << 4;
    control_flags = 0;
    read_limit = 0;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

#define SET(body)                     \
    pthread_mutex_lock(&lock);        \
    body;                             \
    pthread_cond_broadcast(&changed); \
    pthread_mutex_unlock(&lock)

void fake_hide(const char *name) { SET(snprintf(hidden, sizeof hidden, "%s", name ? name : "")); }
void fake_set_device_count(int count) { SET(device_count = count); }
void fake_hold(int value) { SET(is_held = value); }
void fake_set_read_limit(size_t byte_count) { SET(read_limit = byte_count); }
void fake_delay(uint64_t seed, int microseconds) {
    SET(random_state = seed | 1; delay = microseconds);
}
void fake_set_cufile(uint32_t status, uint32_t control) {
    SET(status_flags = status; control_flags = control);
}
void fake_fail_copy(int nth, int error, int lasts) {
    SET(copy_fault = nth; copy_error = error; copy_lasts = lasts);
}
void fake_fail(const char *name, int nth, int error, int lasts) {
    pthread_mutex_lock(&lock);
    for (int i = 0; i < 8; i++) {
        if (faults[i].left > 0) continue;
        snprintf(faults[i].name, sizeof faults[i].name, "%s", name);
        faults[i].left = nth;
        faults[i].error = error;
        faults[i].lasts = lasts;
        break;
    }
    pthread_mutex_unlock(&lock);
}

// All below: called with the lock held, unless they take it.

static int fault(const char *name) {
    for (int i = 0; i < 8; i++) {
        if (faults[i].left <= 0 || strcmp(faults[i].name, name)) continue;
        if (faults[i].left > 1) {
            faults[i].left--;
        } else {
            if (!faults[i].lasts) faults[i].left = 0;
            return faults[i].error;
        }
    }
    return success;
}

static int alive(const struct range *ranges) {
    int count = 0;
    for (int i = 0; i < thing_count; i++) count += ranges[i].base != 0;
    return count;
}

static int add(struct range *ranges, uintptr_t base, size_t byte_count) {
    for (int i = 0; i < thing_count; i++) {
        if (ranges[i].base) continue;
        ranges[i].base = base;
        ranges[i].byte_count = byte_count;
        return 1;
    }
    return 0;
}

static int drop(struct range *ranges, uintptr_t base) {
    for (int i = 0; i < thing_count; i++) {
        if (ranges[i].base != base) continue;
        ranges[i].base = 0;
        return 1;
    }
    return 0;
}

static int inside(const struct range *ranges, uintptr_t start, size_t byte_count) {
    for (int i = 0; i < thing_count; i++) {
        if (ranges[i].base && start >= ranges[i].base
            && start + byte_count <= ranges[i].base + ranges[i].byte_count)
            return 1;
    }
    return 0;
}

/// Says that a rule of the driver's was broken, which no caller of ours may do.
static int violation(const char *what) {
    fprintf(stderr, "fake device: %s\n", what);
    violations++;
    return invalid_value;
}

#define BEGIN(name, needs_context)                       \
    pthread_mutex_lock(&lock);                           \
    int result = fault(name);                            \
    if (needs_context && !current) {                     \
        violation(name ": no context is current");       \
        result = invalid_context;                        \
    }
#define END                        \
    pthread_mutex_unlock(&lock);   \
    return result

int fake_count(const char *kind) {
    pthread_mutex_lock(&lock);
    int count = -1;
    if (!strcmp(kind, "memory")) count = alive(memory);
    if (!strcmp(kind, "pinned")) count = alive(pinned);
    if (!strcmp(kind, "target")) count = alive(targets);
    if (!strcmp(kind, "context")) count = contexts;
    if (!strcmp(kind, "stream")) count = streams;
    if (!strcmp(kind, "event")) count = events;
    if (!strcmp(kind, "cufile")) count = drivers;
    if (!strcmp(kind, "handle")) count = handles;
    if (!strcmp(kind, "copies")) count = copies;
    if (!strcmp(kind, "waits")) count = waits;
    if (!strcmp(kind, "violations")) count = violations;
    pthread_mutex_unlock(&lock);
    return count;
}

// The driver

static int32_t init(uint32_t flags) {
    BEGIN("cuInit", 0)
    if (!result && flags) result = violation("cuInit: flags");
    END;
}

static int32_t version(int32_t *number) {
    BEGIN("cuDriverGetVersion", 0)
    *number = 12040;
    END;
}

static int32_t error_name(int32_t error, const char **name) {
    switch (error) {
    case invalid_value: *name = "CUDA_ERROR_INVALID_VALUE"; return success;
    case out_of_memory: *name = "CUDA_ERROR_OUT_OF_MEMORY"; return success;
    case 700: *name = "CUDA_ERROR_ILLEGAL_ADDRESS"; return success;
    default: return invalid_value;
    }
}

static int32_t get_count(int32_t *count) {
    BEGIN("cuDeviceGetCount", 0)
    *count = device_count;
    END;
}

static int32_t get_device(int32_t *device, int32_t ordinal) {
    BEGIN("cuDeviceGet", 0)
    if (!result && ordinal >= device_count) result = invalid_device;
    *device = ordinal;
    END;
}

static int32_t get_name(char *name, int32_t capacity, int32_t device) {
    (void)device;
    BEGIN("cuDeviceGetName", 0)
    snprintf(name, (size_t)capacity, "fake device");
    END;
}

static int32_t retain(chunkdb_cuda_handle *context, int32_t device) {
    (void)device;
    BEGIN("cuDevicePrimaryCtxRetain", 0)
    if (!result) {
        contexts++;
        *context = &the_context;
    }
    END;
}

static int32_t release(int32_t device) {
    (void)device;
    BEGIN("cuDevicePrimaryCtxRelease_v2", 0)
    if (!result && --contexts < 0) result = violation("a context released twice");
    if (!contexts && (alive(memory) || alive(pinned) || streams || events))
        violation("a context released before what it has");
    END;
}

static int32_t push(chunkdb_cuda_handle context) {
    BEGIN("cuCtxPushCurrent_v2", 0)
    if (!result && (context != &the_context || contexts < 1)) result = invalid_context;
    if (!result) {
        current = 1;
        depth++;
    }
    END;
}

static int32_t pop(chunkdb_cuda_handle *context) {
    BEGIN("cuCtxPopCurrent_v2", 1)
    *context = &the_context;
    if (--depth < 0) result = violation("a context popped twice");
    current = depth > 0;
    END;
}

static int32_t allocate(uint64_t *address, size_t byte_count) {
    BEGIN("cuMemAlloc_v2", 1)
    if (!result) {
        void *base = malloc(byte_count);
        memset(base, 0xEE, byte_count);
        add(memory, (uintptr_t)base, byte_count);
        *address = (uintptr_t)base;
    }
    END;
}

static int32_t release_memory(uint64_t address) {
    BEGIN("cuMemFree_v2", 1)
    if (!result && !drop(memory, (uintptr_t)address)) result = violation("memory freed twice");
    if (!result) free((void *)(uintptr_t)address);
    END;
}

static int32_t pin(void *base, size_t byte_count, uint32_t flags) {
    (void)flags;
    BEGIN("cuMemHostRegister_v2", 1)
    if (!result && ((uintptr_t)base & 4095)) result = violation("pinning from inside a page");
    if (!result) add(pinned, (uintptr_t)base, byte_count);
    END;
}

static int32_t unpin(void *base) {
    BEGIN("cuMemHostUnregister", 1)
    if (!result && !drop(pinned, (uintptr_t)base)) result = violation("unpinned twice");
    END;
}

static int32_t copy_to_device(
    uint64_t target, const void *source, size_t byte_count, chunkdb_cuda_handle handle
) {
    struct stream *stream = handle;
    BEGIN("cuMemcpyHtoDAsync_v2", 1)
    if (!result && !inside(pinned, (uintptr_t)source, byte_count))
        result = violation("a copy from memory that is not pinned");
    if (!result && !inside(memory, (uintptr_t)target, byte_count))
        result = violation("a copy to memory that is not the device's");
    if (!result) {
        struct copy *copy = calloc(1, sizeof *copy);
        copy->target = target;
        copy->source = source;
        copy->byte_count = byte_count;
        if (stream->last) stream->last->next = copy;
        else stream->first = copy;
        stream->last = copy;
        stream->started++;
        copies++;
        pthread_cond_broadcast(&changed);
    }
    END;
}

static int32_t copy_to_host(void *target, uint64_t source, size_t byte_count) {
    BEGIN("cuMemcpyDtoH_v2", 1)
    if (!result && !inside(memory, (uintptr_t)source, byte_count))
        result = violation("a copy from memory that is not the device's");
    if (!result) memcpy(target, (void *)(uintptr_t)source, byte_count);
    END;
}

static int32_t make_stream(chunkdb_cuda_handle *handle, uint32_t flags) {
    (void)flags;
    BEGIN("cuStreamCreate", 1)
    if (!result) {
        *handle = calloc(1, sizeof(struct stream));
        streams++;
    }
    END;
}

static int32_t end_stream(chunkdb_cuda_handle handle) {
    struct stream *stream = handle;
    BEGIN("cuStreamDestroy_v2", 1)
    if (stream->first && !broken) violation("a stream ended before its copies");
    streams--;
    END;
}

/// Carries out the stream's copies up to one, as late as this.
static int32_t run(struct stream *stream, uint64_t mark) {
    waits++;
    while (is_held) pthread_cond_wait(&changed, &lock);
    if (delay) {
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        int time = (int)((random_state >> 33) % (uint64_t)delay);
        pthread_mutex_unlock(&lock);
        usleep((useconds_t)time);
        pthread_mutex_lock(&lock);
    }
    int result = broken;
    while (stream->done < mark && !result) {
        struct copy *copy = stream->first;
        size_t byte_count = copy->byte_count;
        if (copy_fault > 0 && --copy_fault == 0) {
            result = copy_error;
            if (copy_lasts) broken = copy_error;
            byte_count /= 2;
        }
        if (!inside(pinned, (uintptr_t)copy->source, byte_count)) {
            violation("memory was unpinned before its copy ended");
        } else if (!inside(memory, (uintptr_t)copy->target, byte_count)) {
            violation("memory was freed before a copy into it ended");
        } else {
            memcpy((void *)(uintptr_t)copy->target, copy->source, byte_count);
        }
        if (result && copy_lasts) break;
        stream->first = copy->next;
        if (!copy->next) stream->last = NULL;
        free(copy);
        stream->done++;
    }
    return result;
}

static int32_t await_stream(chunkdb_cuda_handle handle) {
    struct stream *stream = handle;
    BEGIN("cuStreamSynchronize", 1)
    if (!result) result = run(stream, stream->started);
    END;
}

static int32_t make_event(chunkdb_cuda_handle *handle, uint32_t flags) {
    (void)flags;
    BEGIN("cuEventCreate", 1)
    if (!result) {
        *handle = calloc(1, sizeof(struct event));
        events++;
    }
    END;
}

static int32_t record_event(chunkdb_cuda_handle handle, chunkdb_cuda_handle stream) {
    struct event *event = handle;
    BEGIN("cuEventRecord", 1)
    if (!result) {
        event->stream = stream;
        event->mark = event->stream->started;
    }
    END;
}

static int32_t await_event(chunkdb_cuda_handle handle) {
    struct event *event = handle;
    BEGIN("cuEventSynchronize", 1)
    if (!result) result = run(event->stream, event->mark);
    END;
}

static int32_t end_event(chunkdb_cuda_handle handle) {
    BEGIN("cuEventDestroy_v2", 1)
    free(handle);
    events--;
    END;
}

// cuFile

typedef struct chunkdb_cufile_result cufile_result;

static cufile_result of(int error) { return (cufile_result){error, 0}; }

static cufile_result open_driver(void) {
    BEGIN("cuFileDriverOpen", 0)
    if (!result) drivers++;
    pthread_mutex_unlock(&lock);
    return of(result);
}

static cufile_result close_driver(void) {
    BEGIN("cuFileDriverClose", 0)
    if (--drivers < 0) violation("cuFile closed twice");
    if (!drivers && (handles || alive(targets))) violation("cuFile closed before what it has");
    pthread_mutex_unlock(&lock);
    return of(result);
}

static cufile_result get_properties(struct chunkdb_cufile_properties *properties) {
    BEGIN("cuFileDriverGetProperties", 0)
    // A later version has more fields.
    memset(properties, 0xFF, sizeof *properties);
    properties->status_flags = status_flags;
    properties->control_flags = control_flags;
    pthread_mutex_unlock(&lock);
    return of(result);
}

static cufile_result register_handle(
    chunkdb_cufile_handle *handle, struct chunkdb_cufile_file *file
) {
    BEGIN("cuFileHandleRegister", 1)
    int flags = fcntl(file->place.descriptor, F_GETFL);
    if (!result && (file->kind != 1 || flags < 0)) result = 5001;
    if (!result) {
        handles++;
        int *descriptor = malloc(sizeof *descriptor);
        *descriptor = file->place.descriptor;
        *handle = descriptor;
    }
    pthread_mutex_unlock(&lock);
    return of(result);
}

static void deregister_handle(chunkdb_cufile_handle handle) {
    pthread_mutex_lock(&lock);
    handles--;
    free(handle);
    pthread_mutex_unlock(&lock);
}

static cufile_result register_target(const void *base, size_t byte_count, int32_t flags) {
    (void)flags;
    BEGIN("cuFileBufRegister", 1)
    if (!result && !inside(memory, (uintptr_t)base, byte_count))
        result = violation("a target that is not the device's");
    if (!result) add(targets, (uintptr_t)base, byte_count);
    pthread_mutex_unlock(&lock);
    return of(result);
}

static cufile_result deregister_target(const void *base) {
    BEGIN("cuFileBufDeregister", 1)
    if (!drop(targets, (uintptr_t)base)) violation("a target deregistered twice");
    pthread_mutex_unlock(&lock);
    return of(result);
}

/// Reads whole blocks and copies, as the descriptor is direct.
static ssize_t read_file(
    chunkdb_cufile_handle handle, void *base, size_t byte_count, off_t file_offset,
    off_t base_offset
) {
    BEGIN("cuFileRead", 1)
    int descriptor = *(int *)handle;
    char *target = (char *)base + base_offset;
    if (!inside(targets, (uintptr_t)base, 1) || !inside(memory, (uintptr_t)target, byte_count))
        result = violation("a read to what is no target");
    waits++;
    while (is_held) pthread_cond_wait(&changed, &lock);
    size_t limit = read_limit ? read_limit : byte_count;
    pthread_mutex_unlock(&lock);
    if (result) return -result;
    if (byte_count > limit) byte_count = limit;
    off_t start = file_offset & ~(off_t)4095;
    size_t skip = (size_t)(file_offset - start);
    size_t length = (skip + byte_count + 4095) & ~(size_t)4095;
    void *buffer = NULL;
    if (posix_memalign(&buffer, 4096, length)) return -1;
    ssize_t count = pread(descriptor, buffer, length, start);
    ssize_t found = count < 0 ? -1 : count - (ssize_t)skip;
    if (found > (ssize_t)byte_count) found = (ssize_t)byte_count;
    if (count >= 0 && found < 0) found = 0;
    if (found > 0) memcpy(target, (char *)buffer + skip, (size_t)found);
    free(buffer);
    return found;
}

static const struct {
    const char *name;
    void *address;
} symbols[] = {
    {"cuInit", (void *)init},
    {"cuDriverGetVersion", (void *)version},
    {"cuGetErrorName", (void *)error_name},
    {"cuDeviceGetCount", (void *)get_count},
    {"cuDeviceGet", (void *)get_device},
    {"cuDeviceGetName", (void *)get_name},
    {"cuDevicePrimaryCtxRetain", (void *)retain},
    {"cuDevicePrimaryCtxRelease_v2", (void *)release},
    {"cuCtxPushCurrent_v2", (void *)push},
    {"cuCtxPopCurrent_v2", (void *)pop},
    {"cuMemAlloc_v2", (void *)allocate},
    {"cuMemFree_v2", (void *)release_memory},
    {"cuMemHostRegister_v2", (void *)pin},
    {"cuMemHostUnregister", (void *)unpin},
    {"cuMemcpyHtoDAsync_v2", (void *)copy_to_device},
    {"cuMemcpyDtoH_v2", (void *)copy_to_host},
    {"cuStreamCreate", (void *)make_stream},
    {"cuStreamSynchronize", (void *)await_stream},
    {"cuStreamDestroy_v2", (void *)end_stream},
    {"cuEventCreate", (void *)make_event},
    {"cuEventRecord", (void *)record_event},
    {"cuEventSynchronize", (void *)await_event},
    {"cuEventDestroy_v2", (void *)end_event},
    {"cuFileDriverOpen", (void *)open_driver},
    {"cuFileDriverClose", (void *)close_driver},
    {"cuFileDriverGetProperties", (void *)get_properties},
    {"cuFileHandleRegister", (void *)register_handle},
    {"cuFileHandleDeregister", (void *)deregister_handle},
    {"cuFileBufRegister", (void *)register_target},
    {"cuFileBufDeregister", (void *)deregister_target},
    {"cuFileRead", (void *)read_file},
};

void *fake_symbol(const char *name) {
    if (!strcmp(name, hidden)) return NULL;
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        if (!strcmp(symbols[i].name, name)) return symbols[i].address;
    }
    return NULL;
}
