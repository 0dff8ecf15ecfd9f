// What every kernel begins with: vectors as wide as the processor's, and the pool of threads.
//
// tinygrad loads the bare machine code of a kernel and jumps to its first byte. So a kernel defines its entry first, has no writable
// static data, and calls nothing of a C library.

#define INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__)
#define LANES 16
#define REGISTERS 32
#define WIDE_VECTORS __attribute__((min_vector_width(512))) // else clang halves them where it thinks that full ones slow the clock
#elif defined(__AVX__)
#define LANES 8
#define REGISTERS 16
#elif defined(__ARM_NEON)
#define LANES 4
#define REGISTERS 32
#else
#define LANES 4
#define REGISTERS 16
#endif
#ifndef WIDE_VECTORS
#define WIDE_VECTORS
#endif

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef int ints __attribute__((vector_size(LANES * 4)));
typedef float unaligned_vec __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

#define UP(n, unit) (((n) + (unit) - 1) / (unit) * (unit)) // n rounded up to a multiple of unit
#define PARTS(n, unit) (((n) + (unit) - 1) / (unit))       // how many of unit cover n
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define UNROLL _Pragma("clang loop unroll(full)")
#define ALIGNED __attribute__((aligned(64)))

// Splits the chunks among the pool's threads. `pool` has the addresses of pool_run and of the pool; see pool.c.
#define WORK static __attribute__((noinline)) WIDE_VECTORS void
typedef void work_function(void *argument, long chunk);
typedef void run_function(void *pool, work_function *work, void *argument, long chunks);
INLINE void share(const unsigned long long *pool, work_function *work, void *argument, long chunks) {
    ((run_function *)pool[0])((void *)pool[1], work, argument, chunks);
}
// For work so small that waking a thread would cost more.
INLINE void alone(const unsigned long long *pool, work_function *work, void *argument, long chunks) {
    (void)pool;
    for (long chunk = 0; chunk < chunks; chunk++) work(argument, chunk);
}

INLINE vec load(const float *p) { return *(const unaligned_vec *)p; }
INLINE void store(float *p, vec v) { *(unaligned_vec *)p = v; }
INLINE vec all(float x) { return (vec){} + x; }

// The first n of a vector at p, zeros behind them.
INLINE vec load_part(const float *p, int n) {
    float whole[LANES] ALIGNED;
    for (int i = 0; i < LANES; i++) whole[i] = i < n ? p[i] : 0;
    return load(whole);
}
INLINE void store_part(float *p, vec v, int n) {
    float whole[LANES] ALIGNED;
    store(whole, v);
    for (int i = 0; i < n; i++) p[i] = whole[i];
}

// Walks over n floats by vectors: what is done sees i, and LOAD and STORE that know how many floats are left.
#define LOAD(p) (rest >= LANES ? load((p) + i) : load_part((p) + i, rest))
#define STORE(p, v) (rest >= LANES ? store((p) + i, v) : store_part((p) + i, v, rest))
#define EACH(n, ...) \
    { \
        long i = 0; \
        for (; i + LANES <= (n); i += LANES) { enum { rest = LANES }; __VA_ARGS__ } \
        if (i < (n)) { const int rest = (n) - i; __VA_ARGS__ } \
    }

INLINE float sum_of(vec v) {
    float whole[LANES] ALIGNED;
    store(whole, v);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) whole[i] += whole[i + half];
    return whole[0];
}
INLINE float largest_of(vec v) {
    float whole[LANES] ALIGNED;
    store(whole, v);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) whole[i] = MAX(whole[i], whole[i + half]);
    return whole[0];
}

INLINE float root(float x) { return __builtin_sqrtf(x); }

// e to the power of x to about one unit in the last place, below -87 zero, of no number none: 2^n times a polynomial of the rest,
// |rest| <= ln(2)/2.
INLINE vec exponential(vec x) {
    const vec shift = all(12582912.0f); // 1.5 * 2^23: adding it rounds to the nearest integer
    vec bounded = __builtin_elementwise_min(__builtin_elementwise_max(x, all(-87.3f)), all(88.7f));
    vec n = (bounded * 1.44269504f + shift) - shift;
    vec r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;
    vec p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    // In two steps, as 2^128 has no float.
    ints half = __builtin_convertvector(n, ints) >> 1, other = __builtin_convertvector(n, ints) - half;
    vec power = (vec)((half + 127) << 23) * (vec)((other + 127) << 23);
    vec found = (vec)((ints)(p * power) & (x > -87.3f));
    ints none = x != x;
    return (vec)(((ints)found & ~none) | ((ints)x & none));
}
