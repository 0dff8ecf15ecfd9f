// The gradients of y = silu(gate) up; see swiglu.c. With d the gradient of y and s = 1 / (1 + e^-gate):
//     of gate: d up s (1 + gate (1 - s)),   of up: d gate s.

struct swiglu {
    float *of_gate, *of_up;
    const float *of_y, *gate, *up;
};

WORK work(void *argument, long chunk);

void NAME(float *of_gate, float *of_up, const float *of_y, const float *gate, const float *up, const unsigned long long *pool) {
    struct swiglu swiglu = {of_gate, of_up, of_y, gate, up};
    SHARE(pool, work, &swiglu, PARTS(N, CHUNK));
}

WORK work(void *argument, long chunk) {
    struct swiglu *p = argument;
    const float *of_y = p->of_y + chunk * CHUNK, *gate = p->gate + chunk * CHUNK, *up = p->up + chunk * CHUNK;
    float *of_gate = p->of_gate + chunk * CHUNK, *of_up = p->of_up + chunk * CHUNK;
    EACH(MIN(CHUNK, N - chunk * CHUNK), {
        vec g = LOAD(gate), d = LOAD(of_y), s = 1 / (1 + exponential(-g));
        STORE(of_gate, d * LOAD(up) * s * (1 + g * (1 - s)));
        STORE(of_up, d * g * s);
    })
}
