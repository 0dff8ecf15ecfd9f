// What attention and its gradient share: how a head's rows are read, turned, and laid out for the products.
//
// The matrix of scores [LENGTH, LENGTH] is never whole in memory (Dao et al. 2022, FlashAttention): a tile of QUERIES rows and KEYS
// columns is made, used and forgotten, and the gradient makes it again from the largest score and the sum of each row.
//
// Of the operands a row is HEADS (or KV) heads of WIDTH floats. Copies have COLUMNS floats in a row and KEYS rows in a block, so that
// no product meets a ragged edge: what fills them up is zero.

// Rows of a block of sums; it divides WIDE, which TALL need not.
#if REGISTERS == 32
#define BAND 8
#else
#define BAND 4
#endif

enum {
    GROUP = HEADS / KV,                    // query heads that share a key head
    HALF = WIDTH / 2,
    COLUMNS = UP(WIDTH, WIDE),
    QUERIES = 32,
    KEYS = MIN(128, UP(LENGTH, WIDE)),
    BLOCKS = PARTS(LENGTH, KEYS),
    BLOCK = KEYS * COLUMNS,                // floats of a block of keys or values
    QUERY_BLOCKS = PARTS(LENGTH, QUERIES),
};

// The row of `head`, of so many, at a position of a sequence.
INLINE long row_of(long batch, long position, long head, long heads) { return ((batch * LENGTH + position) * heads + head) * WIDTH; }

// to = x turned by the angles of a position, times scale; x itself where there are none.
INLINE void turn(const float *restrict x, const float *cosine, const float *sine, long position, float scale, float *restrict to) {
#if ROTARY
    const float *restrict c = cosine + position * WIDTH, *restrict s = sine + position * WIDTH;
    for (long i = 0; i < HALF; i++) {
        float first = x[i] * scale, second = x[i + HALF] * scale;
        to[i] = first * c[i] - second * s[i];
        to[i + HALF] = second * c[i + HALF] + first * s[i + HALF];
    }
#else
    for (long i = 0; i < WIDTH; i++) to[i] = x[i] * scale;
#endif
    for (long i = WIDTH; i < COLUMNS; i++) to[i] = 0;
}

// The gradient of what `turn` was given.
INLINE void turn_back(const float *restrict x, const float *cosine, const float *sine, long position, float scale, float *restrict to) {
#if ROTARY
    const float *restrict c = cosine + position * WIDTH, *restrict s = sine + position * WIDTH;
    for (long i = 0; i < HALF; i++) {
        float first = x[i] * scale, second = x[i + HALF] * scale;
        to[i] = first * c[i] + second * s[i + HALF];
        to[i + HALF] = second * c[i + HALF] - first * s[i];
    }
#else
    for (long i = 0; i < WIDTH; i++) to[i] = x[i] * scale;
#endif
}

INLINE void clear(float *to, long n) {
    for (long i = 0; i < n; i += LANES) store(to + i, all(0));
}

// How many of a tile's columns the row may look at: `query` and `key` are the positions of the row and of the tile's first column.
INLINE long seen(long query, long key) {
    long last = CAUSAL ? MIN(query + 1, LENGTH) : LENGTH;
    return MAX(0, MIN(KEYS, last - key));
}

// Rows [BAND] of c = start + a b, for columns in whole blocks; see block.h.
INLINE void band(const float *a, long a_row, long a_k, const float *b, long b_row, int add, float *c, long c_row, long depth, long columns) {
    for (long n = 0; n < columns; n += WIDE)
        block(a, a_row, a_k, b + n, b_row, add ? c + n : 0, c_row, c + n, c_row, depth, BAND, VECTORS);
}

// scores[i][j] = queries[i] . keys[j], as far as any row of a band may look.
INLINE void scores_of(const float *queries, const float *keys_transposed, long query, long key, float *scores) {
    for (long row = 0; row < QUERIES; row += BAND)
        band(queries + row * COLUMNS, COLUMNS, 1, keys_transposed, KEYS, 0, scores + row * KEYS, KEYS, COLUMNS,
             UP(seen(query + row + BAND - 1, key), WIDE));
}
