// A driver and a cuFile in host memory, for tests: everything that DeviceFeed calls, with faults
// on demand. Copies happen as late as they may, when somebody waits for them, so that memory that
// was used again too early is copied wrong. One at a time in a process.

#ifndef CHUNKDB_FAKE_DEVICE_H
#define CHUNKDB_FAKE_DEVICE_H

#include <stddef.h>
#include <stdint.h>

/// As new: one device, no fault, nothing alive.
void fake_reset(void);

/// The function of that name; NULL when there is none.
void *fake_symbol(const char *name);
/// From now on there is none of this name; NULL: all are there.
void fake_hide(const char *name);

void fake_set_device_count(int count);
/// The `nth` call of that name from now on, 1 being the next, fails with `error`; and all after it,
/// if `lasts`.
void fake_fail(const char *name, int nth, int error, int lasts);
/// The copy that is the `nth` from now on fails with `error` when it is carried out, half done; and
/// from then on every wait does, if `lasts`.
void fake_fail_copy(int nth, int error, int lasts);
/// While held, whoever waits for a copy goes on waiting.
void fake_hold(int is_held);
/// Microseconds at most by which a wait takes longer, drawn from the seed.
void fake_delay(uint64_t seed, int microseconds);
/// Bits of cuFile's properties.
void fake_set_cufile(uint32_t status_flags, uint32_t control_flags);
/// cuFile reads at most so many bytes in a call; 0: all.
void fake_set_read_limit(size_t byte_count);

/// What is alive of a kind: "memory", "pinned", "context", "stream", "event", "cufile", "handle",
/// "target", or what was done: "copies", "waits", "violations".
int fake_count(const char *kind);

#endif
