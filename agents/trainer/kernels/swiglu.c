// y = silu(gate) up, silu(x) = x / (1 + e^-x), for each of N numbers.

struct swiglu {
    float *y;
    const float *gate, *up;
};

WORK work(void *argument, long chunk);

void NAME(float *y, const float *gate, const float *up, const unsigned long long *pool) {
    struct swiglu swiglu = {y, gate, up};
    SHARE(pool, work, &swiglu, PARTS(N, CHUNK));
}

WORK work(void *argument, long chunk) {
    struct swiglu *p = argument;
    const float *gate = p->gate + chunk * CHUNK, *up = p->up + chunk * CHUNK;
    float *y = p->y + chunk * CHUNK;
    EACH(MIN(CHUNK, N - chunk * CHUNK), {
        vec g = LOAD(gate);
        STORE(y, g / (1 + exponential(-g)) * LOAD(up));
    })
}
