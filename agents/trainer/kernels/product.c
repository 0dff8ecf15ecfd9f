// C [M, N] = START + A B, START being absent or [M, N]. A(m, k) lies at a[m * A_ROW + k * A_K], B(k, n) at b[k * B_ROW + n * B_N];
// one of the two strides of each is 1, so that a transposed matrix needs no copy.
//
// A chunk is some rows of some WIDE columns. It copies its columns of B, a slice of the depth at a time, to where they lie in a row
// and in the first-level cache, and its rows of A stream past them. Many rows make the copy cheap; but there are to be some sixteen
// chunks for as many processors, unless they would take less than ten microseconds or so.
enum {
    CHEAP = MAX(16 * TALL, (1 << 20) / (K * WIDE)),
    SHARED = MAX(4 * TALL, (long)M * PARTS(N, WIDE) / 16),
    ROWS = UP(MIN(CHEAP, SHARED), TALL),
    SLICE = PARTS(K, PARTS(K, DEPTH)), // of the depth, all alike
};

struct product {
    float *c;
    const float *a, *b, *start;
};

WORK work(void *argument, long chunk);

#if START
void NAME(float *c, const float *a, const float *b, const float *start, const unsigned long long *pool) {
    struct product product = {c, a, b, start};
#else
void NAME(float *c, const float *a, const float *b, const unsigned long long *pool) {
    struct product product = {c, a, b, 0};
#endif
    SHARE(pool, work, &product, (long)PARTS(M, ROWS) * PARTS(N, WIDE));
}

// The columns from n on of B's rows k to k + depth, ragged ones filled up with zeros.
INLINE void pack(const float *b, long k, long n, long depth, float *panel) {
    long columns = MIN(WIDE, N - n);
    if (B_N == 1) copy(b + k * B_ROW + n, B_ROW, depth, columns, panel, WIDE, WIDE);
    else transpose(b + k * B_ROW + n * B_N, B_N, columns, depth, panel, WIDE, WIDE);
}

// Less than WIDE columns: computed beside, where there is room for whole vectors.
INLINE void ragged(const float *a, const float *panel, const float *start, float *c, long depth, long rows, long columns) {
    float tile[TALL * WIDE] ALIGNED;
    for (long row = 0; row < rows; row += TALL) {
        long tall = MIN(TALL, rows - row);
        if (start) copy(start + row * N, N, tall, columns, tile, WIDE, WIDE);
        column(a + row * A_ROW, A_ROW, A_K, panel, WIDE, start ? tile : 0, WIDE, tile, WIDE, depth, tall, VECTORS);
        for (long i = 0; i < tall; i++)
            for (long j = 0; j < columns; j++) c[(row + i) * N + j] = tile[i * WIDE + j];
    }
}

WORK work(void *argument, long chunk) {
    struct product *p = argument;
    float panel[SLICE * WIDE] ALIGNED;
    long m = chunk / PARTS(N, WIDE) * ROWS, n = chunk % PARTS(N, WIDE) * WIDE, rows = MIN(ROWS, M - m);
    for (long k = 0; k < K; k += SLICE) {
        long depth = MIN(SLICE, K - k);
        pack(p->b, k, n, depth, panel);
        const float *a = p->a + m * A_ROW + k * A_K;
        const float *start = k ? p->c : p->start;
        if (start) start += m * N + n;
        float *c = p->c + m * N + n;
        if (n + WIDE <= N) column(a, A_ROW, A_K, panel, WIDE, start, N, c, N, depth, rows, VECTORS);
        else ragged(a, panel, start, c, depth, rows, N - n);
    }
}
