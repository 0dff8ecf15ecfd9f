// Row t of y [TOKENS, WIDTH] is row tokens[t] of the table [VOCABULARY, WIDTH]; zeros for a token that the table has not.

struct embedding {
    float *y;
    const int *tokens;
    const float *table;
};

WORK work(void *argument, long chunk);

void NAME(float *y, const int *tokens, const float *table, const unsigned long long *pool) {
    struct embedding embedding = {y, tokens, table};
    SHARE(pool, work, &embedding, PARTS(TOKENS, TOKENS_PER_CHUNK));
}

WORK work(void *argument, long chunk) {
    struct embedding *p = argument;
    long last = MIN(TOKENS, (chunk + 1) * TOKENS_PER_CHUNK);
    for (long t = chunk * TOKENS_PER_CHUNK; t < last; t++) {
        const float *row = p->table + (long)p->tokens[t] * WIDTH;
        float *y = p->y + t * WIDTH;
        if (p->tokens[t] < 0 || p->tokens[t] >= VOCABULARY) EACH(WIDTH, { STORE(y, all(0)); })
        else EACH(WIDTH, { STORE(y, LOAD(row)); })
    }
}
