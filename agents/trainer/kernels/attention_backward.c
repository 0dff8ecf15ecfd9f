// The gradients of attention; see attention.h and attention.c. With P the shares, D the gradient of Y = P V, and S the scores:
//     of V: P^T D,   of P: D V^T,   of S: P (of P - sum of each row of D Y),   of Q: (of S) K,   of K: (of S)^T Q.

struct attention {
    float *of_query, *of_key, *of_value, *room;
    const float *of_y, *y, *rows, *query, *key, *value, *cosine, *sine;
};

WORK prepare(void *argument, long chunk);
WORK attend(void *argument, long chunk);
WORK gather(void *argument, long chunk);

#if ROTARY
void NAME(float *of_query, float *of_key, float *of_value, float *room, const float *of_y, const float *y, const float *rows,
          const float *query, const float *key, const float *value, const float *cosine, const float *sine,
          const unsigned long long *pool) {
#else
void NAME(float *of_query, float *of_key, float *of_value, float *room, const float *of_y, const float *y, const float *rows,
          const float *query, const float *key, const float *value, const unsigned long long *pool) {
    const float *cosine = 0, *sine = 0;
#endif
    struct attention attention = {of_query, of_key, of_value, room, of_y, y, rows, query, key, value, cosine, sine};
    SHARE(pool, prepare, &attention, BATCH * KV);
    SHARE(pool, attend, &attention, BATCH * HEADS);
    SHARE(pool, gather, &attention, BATCH * KV);
}

enum { ALL = BLOCKS * BLOCK };

// Where the blocks of a key head lie: keys, transposed keys, transposed values.
INLINE float *keys_of(const struct attention *p, long batch, long head) { return p->room + (batch * KV + head) * ALL * 3; }

// Where a query head adds up its gradients: of the turned keys, then of the values.
INLINE float *sums_of(const struct attention *p, long batch, long head) {
    return p->room + 3L * BATCH * KV * ALL + (batch * HEADS + head) * ALL * 2;
}

WORK prepare(void *argument, long chunk) {
    struct attention *p = argument;
    long batch = chunk / KV, head = chunk % KV;
    float *keys = keys_of(p, batch, head), *keys_transposed = keys + ALL, *values_transposed = keys + 2 * ALL;
    for (long position = 0; position < BLOCKS * KEYS; position += LANES) {
        float values[LANES * COLUMNS] ALIGNED;
        for (long i = 0; i < LANES; i++) {
            long row = row_of(batch, position + i, head, KV);
            if (position + i < LENGTH) {
                turn(p->key + row, p->cosine, p->sine, position + i, 1, keys + (position + i) * COLUMNS);
                copy(p->value + row, 0, 1, WIDTH, values + i * COLUMNS, 0, COLUMNS);
            } else {
                clear(keys + (position + i) * COLUMNS, COLUMNS);
                clear(values + i * COLUMNS, COLUMNS);
            }
        }
        long to = position / KEYS * BLOCK + position % KEYS;
        transpose(keys + position * COLUMNS, COLUMNS, LANES, COLUMNS, keys_transposed + to, KEYS, LANES);
        transpose(values, COLUMNS, LANES, COLUMNS, values_transposed + to, KEYS, LANES);
    }
}

// Scores to shares, and the gradients of shares to those of scores; zero from the n-th on, up to `whole`.
INLINE void harden(float *scores, float *gradients, long n, long whole, float largest, float share, float mean) {
    ints lane;
    for (int i = 0; i < LANES; i++) lane[i] = i;
    for (long j = 0; j < whole; j += LANES) {
        ints inside = lane + (int)j < (int)n;
        vec p = (vec)((ints)(exponential(load(scores + j) - largest) * share) & inside);
        store(scores + j, p);
        store(gradients + j, p * (load(gradients + j) - mean));
    }
}

// to[j] += the sum over rows of a tile of tile[row][j] x[row], for columns j before `limit`; none of them is looked at by the
// rows before it.
INLINE void add_by_key(const float *tile, const float *x, long query, long key, long limit, float *to) {
    for (long j = 0; j < limit; j += BAND) {
        long first = CAUSAL ? MAX(0, key + j - query) : 0;
        if (first >= QUERIES) break;
        band(tile + first * KEYS + j, 1, KEYS, x + first * COLUMNS, COLUMNS, 1, to + j * COLUMNS, COLUMNS, QUERIES - first, COLUMNS);
    }
}

struct queries {
    float turned[QUERIES * COLUMNS] ALIGNED, of_turned[QUERIES * COLUMNS] ALIGNED, of_y[QUERIES * COLUMNS] ALIGNED;
    float means[QUERIES];
};

// Reads a block of queries and the gradient of what they yield; rows behind the sequence's end are zero.
INLINE void read(const struct attention *p, long batch, long head, long first, struct queries *to) {
    clear(to->of_turned, QUERIES * COLUMNS);
    for (long i = 0; i < QUERIES; i++) {
        float *turned = to->turned + i * COLUMNS, *of_y = to->of_y + i * COLUMNS;
        vec products = all(0);
        if (first + i < LENGTH) {
            long row = row_of(batch, first + i, head, HEADS);
            turn(p->query + row, p->cosine, p->sine, first + i, SCALE, turned);
            copy(p->of_y + row, 0, 1, WIDTH, of_y, 0, COLUMNS);
            const float *y = p->y + row;
            EACH(WIDTH, { products += load(of_y + i) * LOAD(y); })
        } else {
            clear(turned, COLUMNS);
            clear(of_y, COLUMNS);
        }
        to->means[i] = sum_of(products);
    }
}

WORK attend(void *argument, long chunk) {
    struct attention *p = argument;
    long batch = chunk / HEADS, head = chunk % HEADS;
    const float *keys = keys_of(p, batch, head / GROUP), *keys_transposed = keys + ALL, *values_transposed = keys + 2 * ALL;
    float *of_keys = sums_of(p, batch, head), *of_values = of_keys + ALL;
    clear(of_keys, 2 * ALL);
    for (long first = 0; first < LENGTH; first += QUERIES) {
        struct queries queries;
        float scores[QUERIES * KEYS] ALIGNED, gradients[QUERIES * KEYS] ALIGNED;
        const float *rows = p->rows + (chunk * LENGTH + first) * 2;
        read(p, batch, head, first, &queries);
        for (long key = 0; key < LENGTH; key += KEYS) {
            long limit = UP(seen(first + QUERIES - 1, key), WIDE);
            if (!limit) break;
            scores_of(queries.turned, keys_transposed + key * COLUMNS, first, key, scores);
            scores_of(queries.of_y, values_transposed + key * COLUMNS, first, key, gradients);
            for (long row = 0; row < QUERIES; row += BAND) {
                long whole = UP(seen(first + row + BAND - 1, key), WIDE);
                for (long i = row; i < row + BAND; i++) {
                    int real = first + i < LENGTH;
                    harden(scores + i * KEYS, gradients + i * KEYS, real ? seen(first + i, key) : 0, whole, real ? rows[2 * i] : 0,
                           real ? rows[2 * i + 1] : 0, queries.means[i]);
                    clear(scores + i * KEYS + whole, limit - whole);
                    clear(gradients + i * KEYS + whole, limit - whole);
                }
                band(gradients + row * KEYS, KEYS, 1, keys + key * COLUMNS, COLUMNS, 1, queries.of_turned + row * COLUMNS, COLUMNS, whole,
                     COLUMNS);
            }
            add_by_key(scores, queries.of_y, first, key, limit, of_values + key * COLUMNS);
            add_by_key(gradients, queries.turned, first, key, limit, of_keys + key * COLUMNS);
        }
        for (long i = 0; i < MIN(QUERIES, LENGTH - first); i++)
            turn_back(queries.of_turned + i * COLUMNS, p->cosine, p->sine, first + i, SCALE,
                      p->of_query + row_of(batch, first + i, head, HEADS));
    }
}

// Adds up what the query heads of a key head found.
WORK gather(void *argument, long chunk) {
    struct attention *p = argument;
    long batch = chunk / KV, head = chunk % KV;
    for (long position = 0; position < LENGTH; position++) {
        float of_key[COLUMNS] ALIGNED, of_value[COLUMNS] ALIGNED;
        clear(of_key, COLUMNS);
        clear(of_value, COLUMNS);
        for (long shared = 0; shared < GROUP; shared++) {
            const float *of_keys = sums_of(p, batch, head * GROUP + shared) + position * COLUMNS, *of_values = of_keys + ALL;
            for (long i = 0; i < COLUMNS; i += LANES) {
                store(of_key + i, load(of_key + i) + load(of_keys + i));
                store(of_value + i, load(of_value + i) + load(of_values + i));
            }
        }
        long row = row_of(batch, position, head, KV);
        turn_back(of_key, p->cosine, p->sine, position, 1, p->of_key + row);
        for (long i = 0; i < WIDTH; i++) p->of_value[row + i] = of_value[i];
    }
}
