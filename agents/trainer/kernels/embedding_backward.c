// The gradient of the table; see embedding.c. A chunk owns some rows of the table and adds to them, token after token, what comes from
// theirs: every row is added up in one order, whichever thread does it.

struct embedding {
    float *of_table;
    const float *of_y;
    const int *tokens;
};

WORK work(void *argument, long chunk);

void NAME(float *of_table, const float *of_y, const int *tokens, const unsigned long long *pool) {
    struct embedding embedding = {of_table, of_y, tokens};
    SHARE(pool, work, &embedding, PARTS(VOCABULARY, ROWS_PER_CHUNK));
}

WORK work(void *argument, long chunk) {
    struct embedding *p = argument;
    long first = chunk * ROWS_PER_CHUNK, last = MIN(VOCABULARY, first + ROWS_PER_CHUNK);
    float *rows = p->of_table + first * WIDTH;
    EACH((last - first) * WIDTH, { STORE(rows, all(0)); })
    for (long t = 0; t < TOKENS; t++) {
        long token = p->tokens[t];
        if (token < first || token >= last) continue;
        float *row = p->of_table + token * WIDTH;
        const float *of_y = p->of_y + t * WIDTH;
        EACH(WIDTH, { STORE(row, LOAD(row) + LOAD(of_y)); })
    }
}
