// The mean over rows of log(sum(e^x)) - x[target], leaving out rows whose target is IGNORED. What the gradient needs again is kept:
// each row's logarithm, and how many rows count. A target that is no column adds nothing, but counts.

struct entropy {
    float *loss, *count, *logarithms, *sums;
    const float *logits;
    const int *targets;
};

WORK work(void *argument, long chunk);
WORK add(const struct entropy *p);

void NAME(float *loss, float *count, float *logarithms, float *sums, const float *logits, const int *targets,
          const unsigned long long *pool) {
    struct entropy entropy = {loss, count, logarithms, sums, logits, targets};
    SHARE(pool, work, &entropy, PARTS(ROWS, ROWS_PER_CHUNK));
    add(&entropy);
}

// The natural logarithm of a normal positive number (what is none, or infinite, stays), to about one unit in the last place: that of its fraction, in
// [sqrt(1/2), sqrt(2)), by the series of 2 atanh((x - 1) / (x + 1)), and ln(2) times its exponent.
INLINE float logarithm(float x) {
    if (!(x <= 3.4028235e38f)) return x;
    union { float number; int bits; } value = {x};
    int exponent = (value.bits - 0x3f3504f3) >> 23;
    value.bits -= exponent << 23;
    float ratio = (value.number - 1) / (value.number + 1), square = ratio * ratio;
    float series = 2 * ratio * (1 + square * (1 / 3.0f + square * (1 / 5.0f + square * (1 / 7.0f + square * (1 / 9.0f)))));
    return exponent * 0.693147181f + series;
}

INLINE float logarithm_of_sum(const float *x) {
    vec most = all(-3e38f), sum = all(0);
    long i = 0;
    for (; i + LANES <= N; i += LANES) most = __builtin_elementwise_max(most, load(x + i));
    float largest = largest_of(most);
    for (; i < N; i++) largest = MAX(largest, x[i]);
    for (i = 0; i + LANES <= N; i += LANES) sum += exponential(load(x + i) - largest);
    float total = sum_of(sum);
    for (; i < N; i++) total += exponential(all(x[i] - largest))[0];
    return largest + logarithm(total);
}

WORK work(void *argument, long chunk) {
    struct entropy *p = argument;
    long last = MIN(ROWS, (chunk + 1) * ROWS_PER_CHUNK);
    float sum = 0, count = 0;
    for (long row = chunk * ROWS_PER_CHUNK; row < last; row++) {
        int target = p->targets[row];
        if (target == IGNORED) continue;
        float logarithm = p->logarithms[row] = logarithm_of_sum(p->logits + row * N);
        if (target >= 0 && target < N) sum += logarithm - p->logits[row * N + target];
        count += 1;
    }
    p->sums[2 * chunk] = sum;
    p->sums[2 * chunk + 1] = count;
}

WORK add(const struct entropy *p) {
    double sum = 0, count = 0;
    for (long chunk = 0; chunk < PARTS(ROWS, ROWS_PER_CHUNK); chunk++) {
        sum += p->sums[2 * chunk];
        count += p->sums[2 * chunk + 1];
    }
    p->loss[0] = sum / count;
    p->count[0] = count;
}
