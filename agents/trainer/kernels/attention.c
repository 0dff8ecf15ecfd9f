// Each head's softmax(Q K^T / sqrt(WIDTH)) V, with what the gradient needs again: of each row the largest score, and one over the sum
// of e^(score - largest). See attention.h.

struct attention {
    float *y, *rows, *room;
    const float *query, *key, *value, *cosine, *sine;
};

WORK prepare(void *argument, long chunk);
WORK attend(void *argument, long chunk);

#if ROTARY
void NAME(float *y, float *rows, float *room, const float *query, const float *key, const float *value, const float *cosine,
          const float *sine, const unsigned long long *pool) {
#else
void NAME(float *y, float *rows, float *room, const float *query, const float *key, const float *value, const unsigned long long *pool) {
    const float *cosine = 0, *sine = 0;
#endif
    struct attention attention = {y, rows, room, query, key, value, cosine, sine};
    SHARE(pool, prepare, &attention, BATCH * KV);
    SHARE(pool, attend, &attention, (long)BATCH * HEADS * QUERY_BLOCKS);
}

// Where the blocks of a key head lie: transposed keys, then values.
INLINE float *keys_of(const struct attention *p, long batch, long head) { return p->room + (batch * KV + head) * BLOCKS * BLOCK * 2; }

WORK prepare(void *argument, long chunk) {
    struct attention *p = argument;
    long batch = chunk / KV, head = chunk % KV;
    float *keys = keys_of(p, batch, head), *values = keys + BLOCKS * BLOCK;
    for (long position = 0; position < BLOCKS * KEYS; position += LANES) {
        float turned[LANES * COLUMNS] ALIGNED;
        for (long i = 0; i < LANES; i++) {
            long row = row_of(batch, position + i, head, KV);
            if (position + i < LENGTH) {
                turn(p->key + row, p->cosine, p->sine, position + i, 1, turned + i * COLUMNS);
                copy(p->value + row, 0, 1, WIDTH, values + (position + i) * COLUMNS, 0, COLUMNS);
            } else {
                clear(turned + i * COLUMNS, COLUMNS);
                clear(values + (position + i) * COLUMNS, COLUMNS);
            }
        }
        transpose(turned, COLUMNS, LANES, COLUMNS, keys + position / KEYS * BLOCK + position % KEYS, KEYS, LANES);
    }
}

// Scores to shares: e^(score - largest so far) of the first n, zero up to `whole`. What was added up before shrinks as the largest grows.
INLINE void soften(float *scores, long n, long whole, float *largest, float *sum, float *mixed) {
    ints lane;
    for (int i = 0; i < LANES; i++) lane[i] = i;
    vec most = all(*largest), total = all(0);
    for (long j = 0; j < whole; j += LANES) {
        ints inside = lane + (int)j < (int)n;
        vec score = (vec)(((ints)load(scores + j) & inside) | ((ints)all(-1e30f) & ~inside));
        most = __builtin_elementwise_max(most, score);
        store(scores + j, score);
    }
    float now = largest_of(most);
    for (long j = 0; j < whole; j += LANES) {
        vec share = exponential(load(scores + j) - now);
        total += share;
        store(scores + j, share);
    }
    if (now > *largest && *sum > 0) {
        float shrink = exponential(all(*largest - now))[0];
        *sum *= shrink;
        for (long i = 0; i < COLUMNS; i += LANES) store(mixed + i, load(mixed + i) * shrink);
    }
    *largest = now;
    *sum += sum_of(total);
}

WORK attend(void *argument, long chunk) {
    struct attention *p = argument;
    // The last queries look at the most keys: the long chunks first, so that none is left for the end.
    long which = chunk % (BATCH * HEADS), first = (QUERY_BLOCKS - 1 - chunk / (BATCH * HEADS)) * QUERIES;
    long batch = which / HEADS, head = which % HEADS, count = MIN(QUERIES, LENGTH - first);
    const float *keys = keys_of(p, batch, head / GROUP), *values = keys + BLOCKS * BLOCK;
    float queries[QUERIES * COLUMNS] ALIGNED, mixed[QUERIES * COLUMNS] ALIGNED, scores[QUERIES * KEYS] ALIGNED;
    float largest[QUERIES], sums[QUERIES];
    for (long i = 0; i < QUERIES; i++) {
        if (i < count) turn(p->query + row_of(batch, first + i, head, HEADS), p->cosine, p->sine, first + i, SCALE, queries + i * COLUMNS);
        else clear(queries + i * COLUMNS, COLUMNS);
        largest[i] = -1e30f;
        sums[i] = 0;
    }
    clear(mixed, QUERIES * COLUMNS);
    for (long key = 0; key < LENGTH; key += KEYS) {
        if (!seen(first + QUERIES - 1, key)) break;
        scores_of(queries, keys + key / KEYS * BLOCK, first, key, scores);
        for (long row = 0; row < QUERIES; row += BAND) {
            long whole = UP(seen(first + row + BAND - 1, key), WIDE);
            if (!whole) continue;
            for (long i = row; i < row + BAND; i++)
                soften(scores + i * KEYS, seen(first + i, key), whole, largest + i, sums + i, mixed + i * COLUMNS);
            band(scores + row * KEYS, KEYS, 1, values + key * COLUMNS, COLUMNS, 1, mixed + row * COLUMNS, COLUMNS, whole, COLUMNS);
        }
    }
    float *rows = p->rows + (which * LENGTH + first) * 2;
    for (long i = 0; i < count; i++) {
        float *y = p->y + row_of(batch, first + i, head, HEADS), share = 1 / sums[i];
        rows[2 * i] = largest[i];
        rows[2 * i + 1] = share;
        for (long j = 0; j < WIDTH; j++) y[j] = mixed[i * COLUMNS + j] * share;
    }
}
