#include "hub/base/buckets.h"

#include <pthread.h>
#include <stdlib.h>

struct bucket {
    uint64_t id;                 /* 0: never used */
    int64_t  full_at_ns;
    int64_t  told_ns;            /* when a refusal was told of last; 0: never */
};

struct buckets {
    size_t          rows_mask;
    pthread_mutex_t locks[BUCKET_LOCKS];
    struct bucket   at[];        /* rows of BUCKET_WAYS */
};

struct buckets *buckets_new(size_t wanted)
{
    size_t rows = 1;
    while (rows < wanted / BUCKET_WAYS)
        rows *= 2;
    struct buckets *buckets = calloc(1, sizeof *buckets + rows * BUCKET_WAYS * sizeof *buckets->at);
    if (!buckets)
        return NULL;
    buckets->rows_mask = rows - 1;
    for (int i = 0; i < BUCKET_LOCKS; i++)
        pthread_mutex_init(&buckets->locks[i], NULL);
    return buckets;
}

void buckets_free(struct buckets *buckets)
{
    for (int i = 0; buckets && i < BUCKET_LOCKS; i++)
        pthread_mutex_destroy(&buckets->locks[i]);
    free(buckets);
}

static size_t row_of(const struct buckets *buckets, uint64_t id) { return (id >> 8) & buckets->rows_mask; }

static pthread_mutex_t *lock_row(struct buckets *buckets, size_t row)
{
    pthread_mutex_t *lock = &buckets->locks[row % BUCKET_LOCKS];
    pthread_mutex_lock(lock);
    return lock;
}

static struct bucket *find(struct buckets *buckets, size_t row, uint64_t id)
{
    struct bucket *at = &buckets->at[row * BUCKET_WAYS];
    for (int i = 0; i < BUCKET_WAYS; i++)
        if (at[i].id == id)
            return &at[i];
    return NULL;
}

/* That which is full, or nearest to it, makes room. */
static struct bucket *claim(struct buckets *buckets, size_t row, uint64_t id)
{
    struct bucket *at = &buckets->at[row * BUCKET_WAYS], *first = at;
    for (int i = 1; i < BUCKET_WAYS; i++)
        if (at[i].full_at_ns < first->full_at_ns)
            first = &at[i];
    *first = (struct bucket){ .id = id };
    return first;
}

static struct bucket_answer answer_of(const struct bucket_ask *ask, int64_t debt_ns)
{
    int64_t whole_ns = ask->token_ns * (int64_t)ask->burst, left_ns = whole_ns - debt_ns;
    return (struct bucket_answer){ .left = left_ns > 0 ? (uint64_t)(left_ns / ask->token_ns) : 0, .full_ns = debt_ns };
}

struct bucket_answer buckets_take(struct buckets *buckets, const struct bucket_ask *ask, int64_t now_ns, int64_t tell_ns)
{
    size_t row = row_of(buckets, ask->id);
    int64_t whole_ns = ask->token_ns * (int64_t)ask->burst;
    int64_t cost_ns = ask->token_ns * (int64_t)(ask->tokens < ask->burst ? ask->tokens : ask->burst);
    pthread_mutex_t *lock = lock_row(buckets, row);
    struct bucket *bucket = find(buckets, row, ask->id);
    int64_t debt_ns = bucket && bucket->full_at_ns > now_ns ? bucket->full_at_ns - now_ns : 0;
    if (debt_ns > whole_ns)      /* the clock went back, or the limit is another now */
        debt_ns = whole_ns;
    bool refused = debt_ns + cost_ns > whole_ns;
    if (!refused && !ask->only_look) {
        debt_ns += cost_ns;
        if (!bucket)
            bucket = claim(buckets, row, ask->id);
        bucket->full_at_ns = now_ns + debt_ns;
    }
    struct bucket_answer answer = answer_of(ask, debt_ns);
    if (refused) {
        answer.refused = true;
        answer.wait_ns = debt_ns + cost_ns - whole_ns;
        answer.tell = bucket && !ask->only_look && (bucket->told_ns == 0 || now_ns - bucket->told_ns >= tell_ns || now_ns < bucket->told_ns);
        if (answer.tell)
            bucket->told_ns = now_ns;
    }
    pthread_mutex_unlock(lock);
    return answer;
}

void buckets_give_back(struct buckets *buckets, const struct bucket_ask *ask)
{
    size_t row = row_of(buckets, ask->id);
    pthread_mutex_t *lock = lock_row(buckets, row);
    struct bucket *bucket = find(buckets, row, ask->id);
    if (bucket)
        bucket->full_at_ns -= ask->token_ns * (int64_t)(ask->tokens < ask->burst ? ask->tokens : ask->burst);
    pthread_mutex_unlock(lock);
}
