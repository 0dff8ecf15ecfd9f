// AdamW (Loshchilov and Hutter 2019) in place, on gradients scaled down so that their norm is at most CLIP.
// `now` has the learning rate and the corrections of both means' bias.

struct weight {
    float *weight, *mean, *square;
    const float *gradient;
};

struct adamw {
    struct weight weights[COUNT];
    const float *norm, *now;
};

WORK work(void *argument, long chunk);

void NAME(PARAMETERS, const float *norm, const float *now, const unsigned long long *pool) {
    struct adamw adamw = {{ARGUMENTS}, norm, now};
    SHARE(pool, work, &adamw, CHUNKS);
}

WORK work(void *argument, long chunk) {
    static const float decays[] = {DECAYS};
    struct adamw *p = argument;
    struct piece piece = piece_of(chunk);
    struct weight *w = p->weights + piece.tensor;
    float *restrict weight = w->weight + piece.first, *restrict mean = w->mean + piece.first;
    float *restrict square = w->square + piece.first;
    const float *restrict gradient = w->gradient + piece.first;
    float scale = MIN(1, CLIP / (p->norm[0] + 1e-6f)), rate = p->now[0], decay = rate * decays[piece.tensor];
    float mean_scale = rate / p->now[1], square_scale = 1 / p->now[2];
    for (long i = 0; i < piece.length; i++) {
        float g = gradient[i] * scale;
        mean[i] = BETA1 * mean[i] + (1 - BETA1) * g;
        square[i] = BETA2 * square[i] + (1 - BETA2) * g * g;
        weight[i] -= mean_scale * mean[i] / (root(square[i] * square_scale) + EPSILON) + decay * weight[i];
    }
}
