#include "hub/base/buckets.h"

#include "hub/base/err.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define NS_PER_MS     INT64_C(1000000)
#define TRIFLE_NS     (1000 * NS_PER_MS)      /* at least so long is looked at */
#define NO_PLACE      UINT32_MAX

struct bucket {
    uint64_t id;                 /* 0: never used */
    int64_t  full_at_ns;
    int64_t  told_ns;            /* when a refusal was told of last; 0: never */
};

/* Beside a bucket that is shared: what was taken of it since the last report. */
struct share {
    char     name[BUCKET_NAME];  /* name[0] 0: it has none yet */
    int64_t  spent_ns, own_full_at_ns, whole_ns;
    int64_t  since_ns;           /* when the first of that was taken */
    int64_t  reported_ns;        /* when it was reported last */
    uint32_t next;               /* in its part's list of those that have something to tell */
    bool     listed;
    bool     due;                /* a portion was taken */
    bool     under_way;          /* a report is not answered */
};

struct part {
    pthread_mutex_t lock;
    uint32_t        first;       /* of the list */
};

struct buckets {
    size_t           rows_mask;
    struct part      parts[BUCKET_LOCKS];
    struct share    *shares;     /* one for each bucket; NULL: none is shared */
    void           (*wake)(void *arg);
    void            *wake_arg;
    _Atomic uint64_t due;        /* a bit for each part */
    struct bucket    at[];       /* rows of BUCKET_WAYS */
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
    for (int i = 0; i < BUCKET_LOCKS; i++) {
        pthread_mutex_init(&buckets->parts[i].lock, NULL);
        buckets->parts[i].first = NO_PLACE;
    }
    return buckets;
}

void buckets_free(struct buckets *buckets)
{
    if (!buckets)
        return;
    for (int i = 0; i < BUCKET_LOCKS; i++)
        pthread_mutex_destroy(&buckets->parts[i].lock);
    free(buckets->shares);
    free(buckets);
}

static size_t row_of(const struct buckets *buckets, uint64_t id) { return (id >> 8) & buckets->rows_mask; }

static struct part *lock_row(struct buckets *buckets, size_t row)
{
    struct part *part = &buckets->parts[row % BUCKET_LOCKS];
    pthread_mutex_lock(&part->lock);
    return part;
}

static struct bucket *find(struct buckets *buckets, size_t row, uint64_t id)
{
    struct bucket *at = &buckets->at[row * BUCKET_WAYS];
    for (int i = 0; i < BUCKET_WAYS; i++)
        if (at[i].id == id)
            return &at[i];
    return NULL;
}

static struct share *share_of(struct buckets *buckets, const struct bucket *bucket)
{
    return &buckets->shares[bucket - buckets->at];
}

/* That which is full, or nearest to it, makes room. */
static struct bucket *claim(struct buckets *buckets, size_t row, uint64_t id)
{
    struct bucket *at = &buckets->at[row * BUCKET_WAYS], *first = at;
    for (int i = 1; i < BUCKET_WAYS; i++)
        if (at[i].full_at_ns < first->full_at_ns)
            first = &at[i];
    *first = (struct bucket){ .id = id };
    if (buckets->shares) {
        struct share *share = share_of(buckets, first);
        *share = (struct share){ .next = share->next, .listed = share->listed };
    }
    return first;
}

/* ---- what is to be told ---- */

static void give_name(struct share *share, const struct bucket_ask *ask)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char text[512];
    size_t kind = strlen(ask->kind), who = ask->who.len < sizeof text - kind - 1 ? ask->who.len : sizeof text - kind - 1;
    memcpy(text, ask->kind, kind + 1);
    memcpy(text + kind + 1, ask->who.at, who);
    SHA256((const uint8_t *)text, kind + 1 + who, digest);
    for (size_t i = 0; i < BUCKET_NAME; i++)
        share->name[i] = digits[digest[i / 2] >> (i % 2 ? 0 : 4) & 15];
}

static void wake(struct buckets *buckets, const struct part *part)
{
    if (!atomic_fetch_or(&buckets->due, UINT64_C(1) << (part - buckets->parts)))
        buckets->wake(buckets->wake_arg);
}

static void note(struct buckets *buckets, struct part *part, const struct bucket *bucket, const struct bucket_ask *ask, int64_t cost_ns, int64_t now_ns)
{
    struct share *share = share_of(buckets, bucket);
    share->own_full_at_ns = (share->own_full_at_ns > now_ns ? share->own_full_at_ns : now_ns) + cost_ns;
    share->spent_ns += cost_ns;
    share->whole_ns = ask->token_ns * (int64_t)ask->burst;
    if (!share->name[0])
        give_name(share, ask);
    if (share->since_ns == 0)
        share->since_ns = now_ns;
    if (!share->listed) {
        share->listed = true;
        share->next = part->first;
        part->first = (uint32_t)(bucket - buckets->at);
    }
    if (!share->due && share->spent_ns >= share->whole_ns / BUCKET_PORTION) {
        share->due = true;
        wake(buckets, part);
    }
}

/* ---- taking ---- */

static struct bucket_answer answer_of(const struct bucket_ask *ask, int64_t debt_ns)
{
    int64_t whole_ns = ask->token_ns * (int64_t)ask->burst, left_ns = whole_ns - debt_ns;
    return (struct bucket_answer){ .left = left_ns > 0 ? (uint64_t)(left_ns / ask->token_ns) : 0, .full_ns = debt_ns };
}

struct bucket_answer buckets_take(struct buckets *buckets, const struct bucket_ask *ask, int64_t now_ns, int64_t tell_ns)
{
    size_t row = row_of(buckets, ask->id);
    bool shared = ask->kind && buckets->shares;
    int64_t whole_ns = ask->token_ns * (int64_t)ask->burst, most_ns = shared ? whole_ns * BUCKET_DEBTS : whole_ns;
    int64_t cost_ns = ask->token_ns * (int64_t)(ask->tokens < ask->burst ? ask->tokens : ask->burst);
    struct part *part = lock_row(buckets, row);
    struct bucket *bucket = find(buckets, row, ask->id);
    int64_t debt_ns = bucket && bucket->full_at_ns > now_ns ? bucket->full_at_ns - now_ns : 0;
    if (debt_ns > most_ns)       /* the clock went back, or the limit is another now */
        debt_ns = most_ns;
    bool refused = debt_ns + cost_ns > whole_ns;
    if (!refused && !ask->only_look) {
        debt_ns += cost_ns;
        if (!bucket)
            bucket = claim(buckets, row, ask->id);
        bucket->full_at_ns = now_ns + debt_ns;
        if (shared)
            note(buckets, part, bucket, ask, cost_ns, now_ns);
    }
    struct bucket_answer answer = answer_of(ask, debt_ns);
    if (refused) {
        answer.refused = true;
        answer.wait_ns = debt_ns + cost_ns - whole_ns;
        answer.tell = bucket && !ask->only_look && (bucket->told_ns == 0 || now_ns - bucket->told_ns >= tell_ns || now_ns < bucket->told_ns);
        if (answer.tell)
            bucket->told_ns = now_ns;
    }
    pthread_mutex_unlock(&part->lock);
    return answer;
}

void buckets_give_back(struct buckets *buckets, const struct bucket_ask *ask)
{
    size_t row = row_of(buckets, ask->id);
    int64_t cost_ns = ask->token_ns * (int64_t)(ask->tokens < ask->burst ? ask->tokens : ask->burst);
    struct part *part = lock_row(buckets, row);
    struct bucket *bucket = find(buckets, row, ask->id);
    if (bucket) {
        bucket->full_at_ns -= cost_ns;
        if (ask->kind && buckets->shares) {
            share_of(buckets, bucket)->spent_ns -= cost_ns;
            share_of(buckets, bucket)->own_full_at_ns -= cost_ns;
        }
    }
    pthread_mutex_unlock(&part->lock);
}

/* ---- reports ---- */

int buckets_share(struct buckets *buckets, void (*wake_up)(void *arg), void *arg)
{
    buckets->shares = calloc((buckets->rows_mask + 1) * BUCKET_WAYS, sizeof *buckets->shares);
    buckets->wake = wake_up;
    buckets->wake_arg = arg;
    return buckets->shares ? 0 : ERR_MEMORY;
}

bool buckets_due(const struct buckets *buckets) { return atomic_load(&buckets->due) != 0; }

static bool is_trifle(const struct share *share, int64_t now_ns)
{
    int64_t age_ns = now_ns - share->since_ns;
    return !share->due && share->spent_ns >= 0 && share->spent_ns * BUCKET_TRIFLE < (age_ns > TRIFLE_NS ? age_ns : TRIFLE_NS);
}

static void fill_in(struct bucket_report *report, const struct buckets *buckets, uint32_t place, int64_t now_ns)
{
    const struct share *share = &buckets->shares[place];
    *report = (struct bucket_report){ .spent_ns = share->spent_ns, .own_ns = share->own_full_at_ns - now_ns, .whole_ns = share->whole_ns,
                                      .id = buckets->at[place].id, .place = place, .at_ns = now_ns };
    memcpy(report->name, share->name, sizeof report->name);
}

enum fate { STAYS, GOES, IS_TOLD };

static enum fate fate_of(const struct share *share, bool all, int64_t now_ns)
{
    if (share->spent_ns == 0 && !share->due)
        return GOES;
    if ((!share->due && !all) || share->under_way || now_ns - share->reported_ns < BUCKET_GAP_MS * NS_PER_MS)
        return STAYS;
    return is_trifle(share, now_ns) ? GOES : IS_TOLD;
}

/* Those of one part. False: there was no room for all. */
static bool report_part(struct buckets *buckets, struct part *part, bool all, int64_t now_ns, size_t most, struct bucket_report *reports, size_t *n)
{
    bool done = true, due = false;
    pthread_mutex_lock(&part->lock);
    for (uint32_t *at = &part->first; done && *at != NO_PLACE; ) {
        struct share *share = &buckets->shares[*at];
        enum fate fate = fate_of(share, all, now_ns);
        done = fate != IS_TOLD || *n < most;
        if (fate == STAYS || !done) {
            due |= share->due;
            at = &share->next;
            continue;
        }
        if (fate == IS_TOLD) {
            fill_in(&reports[(*n)++], buckets, *at, now_ns);
            share->under_way = true;
            share->reported_ns = now_ns;
        }
        share->spent_ns = share->own_full_at_ns = share->since_ns = 0;
        share->listed = share->due = false;
        *at = share->next;
    }
    if (due || !done)
        atomic_fetch_or(&buckets->due, UINT64_C(1) << (part - buckets->parts));
    pthread_mutex_unlock(&part->lock);
    return done;
}

size_t buckets_report(struct buckets *buckets, bool all, int64_t now_ns, size_t most, struct bucket_report *ret_reports)
{
    size_t n = 0;
    for (uint64_t bit = 1, i = 0; i < BUCKET_LOCKS && n < most; i++, bit <<= 1)
        if (atomic_fetch_and(&buckets->due, ~bit) & bit || all)
            report_part(buckets, &buckets->parts[i], all, now_ns, most, ret_reports, &n);
    return n;
}

/* Whose report this was, which has an answer now; NULL: its place is another's. */
static struct share *answered(struct buckets *buckets, const struct bucket_report *report)
{
    struct share *share = &buckets->shares[report->place];
    if (buckets->at[report->place].id != report->id || !share->under_way)
        return NULL;
    share->under_way = false;
    return share;
}

void buckets_reported(struct buckets *buckets, const struct bucket_report *report, int64_t debt_ns)
{
    struct part *part = lock_row(buckets, row_of(buckets, report->id));
    struct share *share = answered(buckets, report);
    if (share) {
        int64_t full_at_ns = report->at_ns + debt_ns + share->spent_ns;
        buckets->at[report->place].full_at_ns = full_at_ns > share->own_full_at_ns ? full_at_ns : share->own_full_at_ns;
    }
    pthread_mutex_unlock(&part->lock);
}

void buckets_unreported(struct buckets *buckets, const struct bucket_report *report)
{
    struct part *part = lock_row(buckets, row_of(buckets, report->id));
    answered(buckets, report);
    pthread_mutex_unlock(&part->lock);
}

void buckets_forgive(struct buckets *buckets, int64_t now_ns)
{
    for (struct part *part = buckets->parts; part < buckets->parts + BUCKET_LOCKS; part++) {
        pthread_mutex_lock(&part->lock);
        for (uint32_t at = part->first; at != NO_PLACE; at = buckets->shares[at].next) {
            struct share *share = &buckets->shares[at];
            share->spent_ns = 0;
            share->own_full_at_ns = buckets->at[at].full_at_ns;
            share->due = share->own_full_at_ns - now_ns >= share->whole_ns / BUCKET_PORTION;
            if (share->due)
                wake(buckets, part);
        }
        pthread_mutex_unlock(&part->lock);
    }
}
