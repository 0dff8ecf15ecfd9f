// RMSNorm of each row x [N]: y = x s g, s = 1 / sqrt(mean(x^2) + EPSILON), g the gains.

struct norm {
    float *y;
    const float *x, *gain;
};

WORK work(void *argument, long chunk);

void NAME(float *y, const float *x, const float *gain, const unsigned long long *pool) {
    struct norm norm = {y, x, gain};
    SHARE(pool, work, &norm, PARTS(ROWS, ROWS_PER_CHUNK));
}

WORK work(void *argument, long chunk) {
    struct norm *p = argument;
    long last = MIN(ROWS, (chunk + 1) * ROWS_PER_CHUNK);
    for (long row = chunk * ROWS_PER_CHUNK; row < last; row++) {
        const float *x = p->x + row * N;
        float *y = p->y + row * N;
        vec squares = all(0);
        EACH(N, { vec v = LOAD(x); squares += v * v; })
        float scale = 1 / root(sum_of(squares) / N + EPSILON);
        EACH(N, { STORE(y, LOAD(x) * scale * LOAD(p->gain)); })
    }
}
