// The heart of every product: a block of C that stays in registers while A and B stream past.

// TALL rows of WIDE columns: as many sums as the registers hold beside a row of B and one number of A. Narrow and tall, because a
// model's sizes are multiples of 32 more often than of 48.
#if REGISTERS == 32
#define TALL 12
#else
#define TALL 6
#endif
#define VECTORS 2
#define WIDE (VECTORS * LANES)

// c = start + the sum over k < depth of a(row, k) b(k, column), for `rows` rows and `vectors` vectors of columns, both constants to
// the compiler. a(row, k) lies at a[row * a_row + k * a_k]; rows of b, start and c are so many floats apart. No start: zero.
INLINE void block(const float *a, long a_row, long a_k, const float *b, long b_row, const float *start, long start_row, float *c,
                  long c_row, long depth, const int rows, const int vectors) {
    vec sum[TALL][VECTORS];
    UNROLL for (int row = 0; row < rows; row++)
        UNROLL for (int v = 0; v < vectors; v++) sum[row][v] = start ? load(start + row * start_row + v * LANES) : all(0);
    for (long k = 0; k < depth; k++) {
        vec line[VECTORS];
        UNROLL for (int v = 0; v < vectors; v++) line[v] = load(b + k * b_row + v * LANES);
        UNROLL for (int row = 0; row < rows; row++) {
            vec x = all(a[row * a_row + k * a_k]);
            UNROLL for (int v = 0; v < vectors; v++) sum[row][v] += x * line[v];
        }
    }
    UNROLL for (int row = 0; row < rows; row++)
        UNROLL for (int v = 0; v < vectors; v++) store(c + row * c_row + v * LANES, sum[row][v]);
}

// The same for any number of rows: whole blocks, then what is left by halves.
INLINE void column(const float *a, long a_row, long a_k, const float *b, long b_row, const float *start, long start_row, float *c,
                   long c_row, long depth, long rows, const int vectors) {
    long row = 0;
#define TAKE(n) \
    for (; row + (n) <= rows; row += (n)) \
        block(a + row * a_row, a_row, a_k, b, b_row, start ? start + row * start_row : 0, start_row, c + row * c_row, c_row, depth, n, vectors);
    TAKE(TALL)
    TAKE(TALL / 2)
    TAKE(1)
#undef TAKE
}

// Transposes LANES rows of LANES floats by interleaving halves, once for each bit of a row's number.
#if LANES == 16
#define LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif LANES == 8
#define LOW 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define LOW 0, 4, 1, 5
#define HIGH 2, 6, 3, 7
#endif
INLINE void transpose_square(const float *from, long from_row, float *to, long to_row) {
    vec rows[LANES], turned[LANES];
    UNROLL for (int i = 0; i < LANES; i++) rows[i] = load(from + i * from_row);
    UNROLL for (int bit = 1; bit < LANES; bit *= 2) {
        UNROLL for (int i = 0; i < LANES / 2; i++) {
            turned[2 * i] = __builtin_shufflevector(rows[i], rows[i + LANES / 2], LOW);
            turned[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + LANES / 2], HIGH);
        }
        UNROLL for (int i = 0; i < LANES; i++) rows[i] = turned[i];
    }
    UNROLL for (int i = 0; i < LANES; i++) store(to + i * to_row, rows[i]);
}

// to[j][i] = from[i][j] for i < rows, j < columns, and zero for i up to `padded` rows.
INLINE void transpose(const float *from, long from_row, long rows, long columns, float *to, long to_row, long padded) {
    long i = 0;
    for (; i + LANES <= rows; i += LANES) {
        long j = 0;
        for (; j + LANES <= columns; j += LANES) transpose_square(from + i * from_row + j, from_row, to + j * to_row + i, to_row);
        for (; j < columns; j++)
            for (long lane = 0; lane < LANES; lane++) to[j * to_row + i + lane] = from[(i + lane) * from_row + j];
    }
    for (; i < padded; i++)
        for (long j = 0; j < columns; j++) to[j * to_row + i] = i < rows ? from[i * from_row + j] : 0;
}

// to[i][j] = from[i][j] for i < rows, j < columns, and zero for j up to `padded` columns.
INLINE void copy(const float *from, long from_row, long rows, long columns, float *to, long to_row, long padded) {
    for (long i = 0; i < rows; i++) {
        long j = 0;
        for (; j + LANES <= columns; j += LANES) store(to + i * to_row + j, load(from + i * from_row + j));
        for (; j < padded; j++) to[i * to_row + j] = j < columns ? from[i * from_row + j] : 0;
    }
}
