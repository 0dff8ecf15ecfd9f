// The norm over all gradients together. A kernel takes a limited number of them, so the sum of squares goes on from the one BEFORE.

struct squares {
    float *sums;
    const float *gradients[COUNT];
};

WORK work(void *argument, long chunk);
WORK add(float *total, float *norm, const float *sums, float before);

void NAME(float *total, float *norm, float *sums, PARAMETERS, const float *before, const unsigned long long *pool) {
    struct squares squares = {sums, {ARGUMENTS}};
    SHARE(pool, work, &squares, CHUNKS);
    add(total, norm, sums, before[0]);
}

WORK work(void *argument, long chunk) {
    struct squares *p = argument;
    struct piece piece = piece_of(chunk);
    const float *gradient = p->gradients[piece.tensor] + piece.first;
    vec squares = all(0);
    EACH(piece.length, { vec v = LOAD(gradient); squares += v * v; })
    p->sums[chunk] = sum_of(squares);
}

WORK add(float *total, float *norm, const float *sums, float before) {
    double sum = before;
    for (long chunk = 0; chunk < CHUNKS; chunk++) sum += sums[chunk];
    total[0] = sum;
    norm[0] = root(total[0]);
}
