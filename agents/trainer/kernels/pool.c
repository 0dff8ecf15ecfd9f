// Threads that share the work of one kernel at a time (fork and join).
//
// Work comes as numbered chunks. Whoever is free takes the next one, so it does not matter which thread is slow or busy with
// something else; and as the chunks are the same for any number of threads, so are the results, to the last bit.
//
// A ticket names the job in its upper half and the next chunk in its lower half. Taking a chunk is one compare and swap of it,
// which fails for a thread that woke up too late: no thread can take a chunk of one job with the function of another.

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

typedef void work_function(void *argument, long chunk);

enum {
    SPINS = 2000,            // looks at a change before sleeping: some ten microseconds, about what waking a thread takes
    STACK_BYTES = 2 << 20,   // the kernels keep their tiles on the stack, a few hundred KiB at most
};

struct pool {
    _Atomic uint64_t ticket;
    _Atomic(work_function *) work;
    _Atomic(void *) argument;
    _Atomic uint32_t chunks;
    _Atomic uint32_t done;         // chunks of the present job that have ended
    _Atomic uint32_t taken;        // 1 while a caller uses the pool
    _Atomic int idle;              // threads asleep, or about to be
    _Atomic int waiting;           // 1 while the caller sleeps, or is about to
    pthread_mutex_t mutex;
    pthread_cond_t begun, ended;
    int threads;                   // the caller's included
    _Atomic uint32_t started_in;   // the process that has its threads, by the count of forks
};

static _Atomic uint32_t forks = 1;

static void forked(void) { atomic_fetch_add(&forks, 1); }

__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(NULL, NULL, forked); }

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint32_t job_of(uint64_t ticket) { return (uint32_t)(ticket >> 32); }

// Takes chunks of the job until none is left.
static void take_part(struct pool *pool, uint32_t job) {
    work_function *work = atomic_load(&pool->work);
    void *argument = atomic_load(&pool->argument);
    uint32_t chunks = atomic_load(&pool->chunks);
    uint64_t ticket = atomic_load(&pool->ticket);
    while (job_of(ticket) == job && (uint32_t)ticket < chunks) {
        if (!atomic_compare_exchange_weak(&pool->ticket, &ticket, ticket + 1)) continue;
        work(argument, (uint32_t)ticket);
        if (atomic_fetch_add(&pool->done, 1) + 1 == chunks && atomic_load(&pool->waiting)) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->ended);
            pthread_mutex_unlock(&pool->mutex);
        }
        ticket = atomic_load(&pool->ticket);
    }
}

static uint32_t next_job(struct pool *pool, uint32_t last) {
    for (int spin = 0; spin < SPINS; spin++) {
        if (job_of(atomic_load(&pool->ticket)) != last) return job_of(atomic_load(&pool->ticket));
        relax();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->idle, 1);
    while (job_of(atomic_load(&pool->ticket)) == last) pthread_cond_wait(&pool->begun, &pool->mutex);
    atomic_fetch_sub(&pool->idle, 1);
    pthread_mutex_unlock(&pool->mutex);
    return job_of(atomic_load(&pool->ticket));
}

static void *serve(void *argument) {
    struct pool *pool = argument;
    for (uint32_t job = 0;;) {
        job = next_job(pool, job);
        take_part(pool, job);
    }
    return NULL;
}

// Starts what threads the system allows; the work is done with fewer too. A forked child has none of its parent's, and starts its own.
static void start(struct pool *pool) {
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->begun, NULL);
    pthread_cond_init(&pool->ended, NULL);
    atomic_store(&pool->ticket, 0);
    atomic_store(&pool->idle, 0);
    atomic_store(&pool->waiting, 0);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    for (int index = 1; index < pool->threads; index++) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, serve, pool)) break;
    }
    pthread_attr_destroy(&attributes);
}

static void wait_for_end(struct pool *pool, uint32_t chunks) {
    for (int spin = 0; spin < SPINS; spin++) {
        if (atomic_load(&pool->done) == chunks) return;
        relax();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->waiting, 1);
    while (atomic_load(&pool->done) != chunks) pthread_cond_wait(&pool->ended, &pool->mutex);
    atomic_store(&pool->waiting, 0);
    pthread_mutex_unlock(&pool->mutex);
}

static void share(struct pool *pool, work_function *work, void *argument, uint32_t chunks) {
    uint64_t last = atomic_load(&pool->ticket);
    atomic_store(&pool->ticket, last | UINT32_MAX); // closed: a late thread must not meet the last job's number with this one's chunks
    atomic_store(&pool->work, work);
    atomic_store(&pool->argument, argument);
    atomic_store(&pool->chunks, chunks);
    atomic_store(&pool->done, 0);
    uint32_t job = job_of(last) + 1;
    atomic_store(&pool->ticket, (uint64_t)job << 32);
    if (atomic_load(&pool->idle)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->begun);
        pthread_mutex_unlock(&pool->mutex);
    }
    take_part(pool, job);
    wait_for_end(pool, chunks);
}

// A pool that lives as long as the process, for `threads` threads with the caller's.
struct pool *pool_new(int threads) {
    struct pool *pool = calloc(1, sizeof *pool);
    if (pool) pool->threads = threads;
    return pool;
}

// Does all chunks of `work`, and returns when they have ended. A second caller at the same time does its work alone.
void pool_run(struct pool *pool, work_function *work, void *argument, long chunks) {
    uint32_t now = atomic_load(&forks), nobody = 0;
    // A child may have been forked in the middle of a job: `taken` then belongs to a thread that it does not have.
    uint32_t then = atomic_load(&pool->started_in);
    if (then != 0 && then != now && atomic_compare_exchange_strong(&pool->started_in, &then, 0)) atomic_store(&pool->taken, 0);
    if (pool->threads > 1 && chunks > 1 && atomic_compare_exchange_strong(&pool->taken, &nobody, 1)) {
        if (atomic_load(&pool->started_in) != now) {
            start(pool);
            atomic_store(&pool->started_in, now);
        }
        share(pool, work, argument, (uint32_t)chunks);
        atomic_store(&pool->taken, 0);
        return;
    }
    for (long chunk = 0; chunk < chunks; chunk++) work(argument, chunk);
}

enum { ARGUMENTS = 63 }; // tinygrad's own limit for this device

// A kernel with its arguments. One that tinygrad itself cut into slices finds the slice's number in an argument.
struct call {
    uint64_t kernel, arguments[ARGUMENTS], slices, slice_argument;
};

#define A(n) arguments[n]
#define A9(n) A(n), A(n + 1), A(n + 2), A(n + 3), A(n + 4), A(n + 5), A(n + 6), A(n + 7), A(n + 8)
#define U uint64_t
#define U9 U, U, U, U, U, U, U, U, U
typedef void kernel_function(U9, U9, U9, U9, U9, U9, U9);

static void call(uint64_t kernel, const uint64_t *arguments) {
    ((kernel_function *)kernel)(A9(0), A9(9), A9(18), A9(27), A9(36), A9(45), A9(54)); // who takes fewer does not see the others
}

static void call_slice(void *argument, long slice) {
    const struct call *whole = argument;
    uint64_t arguments[ARGUMENTS];
    for (int i = 0; i < ARGUMENTS; i++) arguments[i] = whole->arguments[i];
    arguments[whole->slice_argument] = (uint64_t)slice;
    call(whole->kernel, arguments);
}

// Calls kernels one after another.
void pool_replay(struct pool *pool, struct call *calls, long count) {
    for (struct call *each = calls; each < calls + count; each++) {
        if (each->slices) pool_run(pool, call_slice, each, (long)each->slices);
        else call(each->kernel, each->arguments);
    }
}
