// The gradient of the loss in the logits; see cross_entropy.c: (softmax(x) - 1 at the target) / count, times the gradient of the loss.

struct entropy {
    float *of_logits;
    const float *of_loss, *logits;
    const int *targets;
    const float *logarithms, *count;
};

WORK work(void *argument, long chunk);

void NAME(float *of_logits, const float *of_loss, const float *logits, const int *targets, const float *logarithms, const float *count,
          const unsigned long long *pool) {
    struct entropy entropy = {of_logits, of_loss, logits, targets, logarithms, count};
    SHARE(pool, work, &entropy, PARTS(ROWS, ROWS_PER_CHUNK));
}

WORK work(void *argument, long chunk) {
    struct entropy *p = argument;
    float scale = p->of_loss[0] / p->count[0];
    long last = MIN(ROWS, (chunk + 1) * ROWS_PER_CHUNK);
    for (long row = chunk * ROWS_PER_CHUNK; row < last; row++) {
        const float *x = p->logits + row * N;
        float *d = p->of_logits + row * N, logarithm = p->logarithms[row];
        int target = p->targets[row];
        if (target < 0 || target >= N) {
            EACH(N, { STORE(d, all(0)); })
        } else {
            EACH(N, { STORE(d, exponential(LOAD(x) - logarithm) * scale); })
            d[target] -= scale;
        }
    }
}
