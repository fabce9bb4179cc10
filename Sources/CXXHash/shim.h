#include <xxhash.h>

// The library's own XXH3_128bits is built for any processor. Debian's, on x86, has beside it forms
// for wider vectors, and a function that asks the processor once which to take: 2 to 4 times as
// fast where it has AVX2 or AVX-512. Weak, since libraries built otherwise, and static ones, do
// without.
extern XXH128_hash_t XXH3_128bits_dispatch(const void *input, size_t length) __attribute__((weak));

static inline XXH128_hash_t cxxhash_digest(const void *input, size_t length) {
#if defined(__x86_64__)
    if (XXH3_128bits_dispatch) {
        XXH128_hash_t hash = XXH3_128bits_dispatch(input, length);
        // Its AVX-512 form leaves the upper halves of the registers in use, and all older code on
        // this thread would be several times slower until somebody clears them.
        if (__builtin_cpu_supports("avx")) {
            __asm__ volatile("vzeroupper" ::
                                 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                                   "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                                   "xmm15");
        }
        return hash;
    }
#endif
    return XXH3_128bits(input, length);
}
