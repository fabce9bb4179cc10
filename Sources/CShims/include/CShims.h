// The few things that Swift cannot say: prefetch, pause, a compare-and-count over a sorted array of
// 64-bit words in the widest vectors the processor has, and byte planes.
//
// Reads here are plain C loads even where a writer may be busy in the same node; the caller
// validates the node's version afterwards and throws a torn answer away. Every answer is within
// [0, count], torn or not, so that it is safe to index with before it is validated.
//
// The wider kernels carry their own target attribute: a default build holds all of them, reaches
// them by a direct call, and chooses once, when an index is made.

#ifndef CSHIMS_H
#define CSHIMS_H

#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum {
    CSHIMS_KERNEL_PORTABLE = 0,  // NEON on arm64; scalar on x86-64, as SSE2 compares 32 bits only
    CSHIMS_KERNEL_AVX2 = 1,
    CSHIMS_KERNEL_AVX512 = 2,
};

/// The widest kernel this processor runs.
uint32_t cshims_best_kernel(void);

/// A small number, from 1, that is this thread's own while there are fewer than 2^32 threads.
uint32_t cshims_thread_slot(void);

/// Gives the processor to another thread.
void cshims_yield(void);

static inline void cshims_pause(void) {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline void cshims_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

// How many of the eight words at `keys` are below `key`; lanes at and past `valid` count as not.

static inline uint32_t cshims_below8_portable(const uint64_t *keys, uint32_t valid, uint64_t key) {
    uint32_t below = 0;
#if defined(__aarch64__)
    if (valid == 8) {
        uint64x2_t wanted = vdupq_n_u64(key);
        uint64x2_t sum = vcgtq_u64(wanted, vld1q_u64(keys));
        sum = vaddq_u64(sum, vcgtq_u64(wanted, vld1q_u64(keys + 2)));
        sum = vaddq_u64(sum, vcgtq_u64(wanted, vld1q_u64(keys + 4)));
        sum = vaddq_u64(sum, vcgtq_u64(wanted, vld1q_u64(keys + 6)));
        return (uint32_t)(0 - vaddvq_u64(sum));
    }
#endif
    for (uint32_t lane = 0; lane < valid; lane++) below += keys[lane] < key;
    return below;
}

#if defined(__x86_64__)
__attribute__((target("avx2,popcnt"))) static inline uint32_t cshims_below8_avx2(
    const uint64_t *keys, uint32_t valid, uint64_t key
) {
    // AVX2 compares signed words only: flipping the top bit maps unsigned order onto signed.
    const __m256i flip = _mm256_set1_epi64x((long long)0x8000000000000000ULL);
    const __m256i wanted = _mm256_xor_si256(_mm256_set1_epi64x((long long)key), flip);
    __m256i low = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)keys), flip);
    __m256i high = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(keys + 4)), flip);
    uint32_t mask =
        (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(wanted, low)))
        | (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(wanted, high))) << 4;
    return (uint32_t)__builtin_popcount(mask & ((1u << valid) - 1));
}

__attribute__((target("avx512f,avx512vl,popcnt"))) static inline uint32_t cshims_below8_avx512(
    const uint64_t *keys, uint32_t valid, uint64_t key
) {
    __mmask8 lanes = (__mmask8)((1u << valid) - 1);
    __m512i words = _mm512_maskz_loadu_epi64(lanes, keys);
    __mmask8 mask =
        _mm512_mask_cmplt_epu64_mask(lanes, words, _mm512_set1_epi64((long long)key));
    return (uint32_t)__builtin_popcount(mask);
}
#endif

// The search itself, once per kernel: from the guessed line of eight outwards, one line at a time,
// to the line that holds the boundary. A good guess reads one line; a bad one costs steps, never
// a wrong rank.
#define CSHIMS_DEFINE_SEARCH(name, below8, attributes)                                            \
    attributes static inline uint32_t name(                                                       \
        const uint64_t *keys, uint32_t count, uint64_t key, uint32_t guess                        \
    ) {                                                                                           \
        if (count == 0) return 0;                                                                 \
        uint32_t last = (count - 1) >> 3;                                                         \
        uint32_t line = guess >> 3;                                                               \
        if (line > last) line = last;                                                             \
        uint32_t valid = line == last ? count - (line << 3) : 8;                                  \
        uint32_t below = below8(keys + (line << 3), valid, key);                                  \
        while (below == 0 && line > 0) {                                                          \
            line--;                                                                               \
            below = below8(keys + (line << 3), 8, key);                                           \
            if (below != 0) return (line << 3) + below;                                           \
        }                                                                                         \
        while (below == 8 && line < last) {                                                       \
            line++;                                                                               \
            valid = line == last ? count - (line << 3) : 8;                                       \
            below = below8(keys + (line << 3), valid, key);                                       \
        }                                                                                         \
        return (line << 3) + below;                                                               \
    }

CSHIMS_DEFINE_SEARCH(cshims_search_portable, cshims_below8_portable, )
#if defined(__x86_64__)
CSHIMS_DEFINE_SEARCH(
    cshims_search_avx2, cshims_below8_avx2, __attribute__((target("avx2,popcnt")))
)
CSHIMS_DEFINE_SEARCH(
    cshims_search_avx512, cshims_below8_avx512,
    __attribute__((target("avx512f,avx512vl,popcnt")))
)
#endif

/// Where `key` would stand among `count` words spread evenly over [low, high]: a guess.
static inline uint32_t cshims_interpolate(
    uint64_t low, uint64_t high, uint32_t count, uint64_t key
) {
    if (key <= low) return 0;
    uint64_t width = high - low;
    uint64_t distance = key - low;
    if (distance >= width) return count;
    // Halved, because a signed conversion is one instruction and an unsigned one is five.
    double fraction = (double)(int64_t)(distance >> 1) / ((double)(int64_t)(width >> 1) + 1.0);
    return (uint32_t)(int32_t)(fraction * (double)(int32_t)count);
}

__attribute__((noinline)) static inline uint32_t cshims_search(
    uint32_t kernel, const uint64_t *keys, uint32_t count, uint64_t key, uint32_t guess
) {
#if defined(__x86_64__)
    if (kernel == CSHIMS_KERNEL_AVX512) return cshims_search_avx512(keys, count, key, guess);
    if (kernel == CSHIMS_KERNEL_AVX2) return cshims_search_avx2(keys, count, key, guess);
#endif
    return cshims_search_portable(keys, count, key, guess);
}

/// The number of words below `key` among the `count` ascending words at `keys`, sought from
/// `guess` outwards. Within [0, count] even if the words change meanwhile.
///
/// The guessed line is compared in place, without a call: with even keys it mostly holds the
/// boundary, and then eight scalar compares beat entering a vector kernel (measured). The kernels
/// are for the rest: far guesses and uneven keys.
static inline uint32_t cshims_rank(
    uint32_t kernel, const uint64_t *keys, uint32_t count, uint64_t key, uint32_t guess
) {
    uint32_t start = guess & ~7u;
    if (__builtin_expect(start + 8 <= count, 1)) {
        uint32_t below = cshims_below8_portable(keys + start, 8, key);
        if (below != 0 && below != 8) return start + below;
        if (below == 0 && start == 0) return 0;
        guess = below == 0 ? start - 8 : start + 8;
    }
    return cshims_search(kernel, keys, count, key, guess);
}

// Numbers of two or four bytes, split into planes of their first, second, … bytes, and joined.
// SSE2 and NEON are part of their architectures, so nothing is asked of the processor.

static inline void cshims_split2(
    const uint8_t *source, intptr_t count, uint8_t *first, uint8_t *second
) {
    intptr_t index = 0;
#if defined(__x86_64__)
    const __m128i low = _mm_set1_epi16(0xFF);
    for (; index + 16 <= count; index += 16) {
        __m128i a = _mm_loadu_si128((const __m128i *)(source + 2 * index));
        __m128i b = _mm_loadu_si128((const __m128i *)(source + 2 * index + 16));
        _mm_storeu_si128(
            (__m128i *)(first + index),
            _mm_packus_epi16(_mm_and_si128(a, low), _mm_and_si128(b, low)));
        _mm_storeu_si128(
            (__m128i *)(second + index),
            _mm_packus_epi16(_mm_srli_epi16(a, 8), _mm_srli_epi16(b, 8)));
    }
#elif defined(__aarch64__)
    for (; index + 16 <= count; index += 16) {
        uint8x16x2_t both = vld2q_u8(source + 2 * index);
        vst1q_u8(first + index, both.val[0]);
        vst1q_u8(second + index, both.val[1]);
    }
#endif
    for (; index < count; index++) {
        first[index] = source[2 * index];
        second[index] = source[2 * index + 1];
    }
}

/// Four planes of `count` bytes each, one behind the other.
static inline void cshims_split4(const uint8_t *source, intptr_t count, uint8_t *planes) {
    intptr_t index = 0;
#if defined(__x86_64__)
    const __m128i low = _mm_set1_epi32(0xFF);
    for (; index + 16 <= count; index += 16) {
        const __m128i *from = (const __m128i *)(source + 4 * index);
        __m128i a = _mm_loadu_si128(from), b = _mm_loadu_si128(from + 1);
        __m128i c = _mm_loadu_si128(from + 2), d = _mm_loadu_si128(from + 3);
        for (int plane = 0; plane < 4; plane++) {
            // Values up to 255 survive both saturating packs.
            __m128i ab = _mm_packs_epi32(_mm_and_si128(a, low), _mm_and_si128(b, low));
            __m128i cd = _mm_packs_epi32(_mm_and_si128(c, low), _mm_and_si128(d, low));
            _mm_storeu_si128(
                (__m128i *)(planes + plane * count + index), _mm_packus_epi16(ab, cd));
            a = _mm_srli_epi32(a, 8), b = _mm_srli_epi32(b, 8);
            c = _mm_srli_epi32(c, 8), d = _mm_srli_epi32(d, 8);
        }
    }
#elif defined(__aarch64__)
    for (; index + 16 <= count; index += 16) {
        uint8x16x4_t all = vld4q_u8(source + 4 * index);
        vst1q_u8(planes + index, all.val[0]);
        vst1q_u8(planes + count + index, all.val[1]);
        vst1q_u8(planes + 2 * count + index, all.val[2]);
        vst1q_u8(planes + 3 * count + index, all.val[3]);
    }
#endif
    for (; index < count; index++) {
        for (int plane = 0; plane < 4; plane++) {
            planes[plane * count + index] = source[4 * index + plane];
        }
    }
}

static inline void cshims_join2(
    const uint8_t *first, const uint8_t *second, intptr_t count, uint8_t *target
) {
    intptr_t index = 0;
#if defined(__x86_64__)
    for (; index + 16 <= count; index += 16) {
        __m128i a = _mm_loadu_si128((const __m128i *)(first + index));
        __m128i b = _mm_loadu_si128((const __m128i *)(second + index));
        __m128i *to = (__m128i *)(target + 2 * index);
        _mm_storeu_si128(to, _mm_unpacklo_epi8(a, b));
        _mm_storeu_si128(to + 1, _mm_unpackhi_epi8(a, b));
    }
#elif defined(__aarch64__)
    for (; index + 16 <= count; index += 16) {
        uint8x16x2_t both = {{vld1q_u8(first + index), vld1q_u8(second + index)}};
        vst2q_u8(target + 2 * index, both);
    }
#endif
    for (; index < count; index++) {
        target[2 * index] = first[index];
        target[2 * index + 1] = second[index];
    }
}

static inline void cshims_join4(
    const uint8_t *first, const uint8_t *second, const uint8_t *third, const uint8_t *fourth,
    intptr_t count, uint8_t *target
) {
    intptr_t index = 0;
#if defined(__x86_64__)
    for (; index + 16 <= count; index += 16) {
        __m128i a = _mm_loadu_si128((const __m128i *)(first + index));
        __m128i b = _mm_loadu_si128((const __m128i *)(second + index));
        __m128i c = _mm_loadu_si128((const __m128i *)(third + index));
        __m128i d = _mm_loadu_si128((const __m128i *)(fourth + index));
        __m128i ab = _mm_unpacklo_epi8(a, b), cd = _mm_unpacklo_epi8(c, d);
        __m128i *to = (__m128i *)(target + 4 * index);
        _mm_storeu_si128(to, _mm_unpacklo_epi16(ab, cd));
        _mm_storeu_si128(to + 1, _mm_unpackhi_epi16(ab, cd));
        ab = _mm_unpackhi_epi8(a, b), cd = _mm_unpackhi_epi8(c, d);
        _mm_storeu_si128(to + 2, _mm_unpacklo_epi16(ab, cd));
        _mm_storeu_si128(to + 3, _mm_unpackhi_epi16(ab, cd));
    }
#elif defined(__aarch64__)
    for (; index + 16 <= count; index += 16) {
        uint8x16x4_t all = {
            {vld1q_u8(first + index), vld1q_u8(second + index), vld1q_u8(third + index),
             vld1q_u8(fourth + index)}};
        vst4q_u8(target + 4 * index, all);
    }
#endif
    for (; index < count; index++) {
        target[4 * index] = first[index];
        target[4 * index + 1] = second[index];
        target[4 * index + 2] = third[index];
        target[4 * index + 3] = fourth[index];
    }
}

#endif
