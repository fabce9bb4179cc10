// What a header cannot hold: the thread's slot, and the one question asked of the processor.

#include "CShims.h"

#include <sched.h>

static _Thread_local uint32_t own_slot;
static _Atomic uint32_t slots_given;

uint32_t cshims_thread_slot(void) {
    uint32_t slot = own_slot;
    if (__builtin_expect(slot == 0, 0)) {
        slot = __atomic_add_fetch((uint32_t *)&slots_given, 1, __ATOMIC_RELAXED);
        own_slot = slot;
    }
    return slot;
}

uint32_t cshims_best_kernel(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("popcnt")) {
        return CSHIMS_KERNEL_AVX512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt")) {
        return CSHIMS_KERNEL_AVX2;
    }
#endif
    return CSHIMS_KERNEL_PORTABLE;
}

void cshims_yield(void) { sched_yield(); }
