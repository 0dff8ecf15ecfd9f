// The gradients of RMSNorm; see norm.c. With d the gradient of y:
//     of x: d g s - x s^3 / N sum(d g x),   of g: the sum over rows of d x s.
// Each chunk adds up its rows of the latter; the caller adds the chunks in their order.

struct norm {
    float *of_x, *of_gain, *sums;
    const float *of_y, *x, *gain;
};

WORK work(void *argument, long chunk);
WORK add(const struct norm *p);

void NAME(float *of_x, float *of_gain, float *sums, const float *of_y, const float *x, const float *gain,
          const unsigned long long *pool) {
    struct norm norm = {of_x, of_gain, sums, of_y, x, gain};
    SHARE(pool, work, &norm, PARTS(ROWS, ROWS_PER_CHUNK));
    add(&norm);
}

WORK work(void *argument, long chunk) {
    struct norm *p = argument;
    float *sums = p->sums + chunk * N;
    EACH(N, { STORE(sums, all(0)); })
    long last = MIN(ROWS, (chunk + 1) * ROWS_PER_CHUNK);
    for (long row = chunk * ROWS_PER_CHUNK; row < last; row++) {
        const float *x = p->x + row * N, *of_y = p->of_y + row * N;
        float *of_x = p->of_x + row * N;
        vec squares = all(0), products = all(0);
        EACH(N, {
            vec v = LOAD(x);
            squares += v * v;
            products += LOAD(of_y) * LOAD(p->gain) * v;
        })
        float scale = 1 / root(sum_of(squares) / N + EPSILON);
        float back = sum_of(products) * scale * scale * scale / N;
        EACH(N, {
            vec v = LOAD(x), d = LOAD(of_y);
            STORE(of_x, d * LOAD(p->gain) * scale - v * back);
            STORE(sums, LOAD(sums) + d * v * scale);
        })
    }
}

WORK add(const struct norm *p) {
    EACH(N, {
        vec sum = all(0);
        for (long chunk = 0; chunk < PARTS(ROWS, ROWS_PER_CHUNK); chunk++) sum += LOAD(p->sums + chunk * N);
        STORE(p->of_gain, sum);
    })
}
