#include "hub/access/revocations.h"

#include "hub/base/err.h"

#include <pthread.h>
#include <stdlib.h>

struct revocations {
    pthread_rwlock_t         lock;
    struct roll              roll;         /* owns them */
    struct chains            subjects;
    int64_t                  all_before_s; /* of the one of REVOKES_ALL; 0: there is none */
    size_t                   adding;       /* prepared, and not on the roll yet */
    const struct taken_back *taken_back;
};

struct revocations *revocations_new(const struct taken_back *taken_back)
{
    struct revocations *table = calloc(1, sizeof *table);
    if (!table || pthread_rwlock_init(&table->lock, NULL)) {
        free(table);
        return NULL;
    }
    table->taken_back = taken_back;
    return table;
}

static struct revocation *at(const struct roll *roll, size_t i) { return (struct revocation *)roll->at[i]; }

void revocations_free(struct revocations *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->roll.n; i++)
        free(at(&table->roll, i));
    roll_fini(&table->roll);
    chains_fini(&table->subjects);
    pthread_rwlock_destroy(&table->lock);
    free(table);
}

/* ---- changes ---- */

struct prepared {
    struct revocation *now;      /* as it will be; NULL: it goes */
    bool               adds;
};

static int prepare_change(struct revocations *table, struct slice id, const struct revocation_ask *ask, struct prepared *p)
{
    const struct revocation *before = (struct revocation *)roll_find(&table->roll, id);
    size_t n = table->roll.n + table->adding + 1;
    if (!ask->add)      /* one that was due may have been prolonged before its turn came */
        return before && (!ask->due_s || ask->due_s >= before->until_s) ? 0 : ERR_NOT_FOUND;
    if (!before && n > ask->most)
        return ERR_TOO_MANY_REVOCATIONS;
    if (!before && (roll_reserve(&table->roll, n) || chains_reserve(&table->subjects, n)))
        return ERR_MEMORY;
    p->now = before ? revocation_merge(before, ask->add) : revocation_new(ask->add);
    p->adds = !before && p->now;
    table->adding += p->adds;
    return p->now ? 0 : ERR_MEMORY;
}

int revocations_prepare(struct revocations *table, struct slice id, const struct revocation_ask *ask, struct buf *value,
                        void **ret_prepared)
{
    struct prepared *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_MEMORY;
    pthread_rwlock_wrlock(&table->lock);
    int err = prepare_change(table, id, ask, p);
    pthread_rwlock_unlock(&table->lock);
    if (err) {
        free(p);
        return err;
    }
    *ret_prepared = p;
    if (p->now)
        revocation_print(p->now, value);
    return 0;
}

/* The place of `before` is taken by `now`; either may be NULL. Under the lock. */
static void put_in_force(struct revocations *table, struct revocation *before, struct revocation *now)
{
    const struct revocation *any = now ? now : before;
    if (before)
        chains_remove(&table->subjects, &before->link);
    if (now)
        chains_add(&table->subjects, &now->link, revocation_hash(now->kind, now->subject));
    if (any && any->kind == REVOKES_ALL)
        table->all_before_s = now ? now->before_s : 0;
}

void revocations_apply(struct revocations *table, struct slice id, struct revocation_ask *ask, void *prepared)
{
    struct prepared *p = prepared;
    bool takes_back = p->now != NULL;
    pthread_rwlock_wrlock(&table->lock);
    struct revocation *before = (struct revocation *)(p->now ? roll_put(&table->roll, &p->now->item) : roll_take(&table->roll, id));
    put_in_force(table, before, p->now);
    table->adding -= p->adds;
    if (takes_back)
        revocation_print(p->now, &ask->told);
    pthread_rwlock_unlock(&table->lock);
    free(before);
    free(p);
    if (takes_back)
        taken_back_tell(table->taken_back);
}

void revocations_abandon(struct revocations *table, void *prepared)
{
    struct prepared *p = prepared;
    pthread_rwlock_wrlock(&table->lock);
    table->adding -= p->adds;
    pthread_rwlock_unlock(&table->lock);
    free(p->now);
    free(p);
}

/* What is prepared has room of its own. */
static int put_read(struct revocations *table, struct revocation *r)
{
    size_t n = table->roll.n + table->adding + 1;
    if (roll_reserve(&table->roll, n) || chains_reserve(&table->subjects, n))
        return ERR_MEMORY;
    struct revocation *before = (struct revocation *)roll_put(&table->roll, &r->item);
    put_in_force(table, before, r);
    free(before);
    return 0;
}

int revocations_put(struct revocations *table, struct slice id, struct slice record)
{
    struct revocation *r;
    int err = revocation_read(id, record, &r);
    if (err)
        return err;
    pthread_rwlock_wrlock(&table->lock);
    err = put_read(table, r);
    pthread_rwlock_unlock(&table->lock);
    if (err)
        free(r);
    else
        taken_back_tell(table->taken_back);
    return err;
}

void revocations_drop(struct revocations *table, struct slice id)
{
    pthread_rwlock_wrlock(&table->lock);
    struct revocation *before = (struct revocation *)roll_take(&table->roll, id);
    put_in_force(table, before, NULL);
    pthread_rwlock_unlock(&table->lock);
    free(before);
}

bool revocations_print(struct revocations *table, struct slice id, struct buf *out)
{
    pthread_rwlock_rdlock(&table->lock);
    const struct revocation *r = (struct revocation *)roll_find(&table->roll, id);
    if (r)
        revocation_print(r, out);
    pthread_rwlock_unlock(&table->lock);
    return r != NULL;
}

size_t revocations_due(struct revocations *table, int64_t now_s, char ret_ids[REVOCATIONS_DUE_MAX][ROLL_ID_MAX + 1])
{
    size_t n = 0;
    pthread_rwlock_rdlock(&table->lock);
    for (size_t i = 0; i < table->roll.n && n < REVOCATIONS_DUE_MAX; i++)
        if (now_s >= at(&table->roll, i)->until_s)
            memcpy(ret_ids[n++], table->roll.at[i]->id, ROLL_ID_MAX + 1);
    pthread_rwlock_unlock(&table->lock);
    return n;
}

/* ---- questions ---- */

static const struct revocation *find(const struct revocations *table, enum revocation_kind kind, struct slice subject)
{
    struct chain_link *link = subject.len > 0 ? chains_first(&table->subjects, revocation_hash(kind, subject)) : NULL;
    for (; link; link = chains_next(link)) {
        const struct revocation *r = revocation_of_link(link);
        if (r->kind == kind && slice_is(r->subject, subject))
            return r;
    }
    return NULL;
}

static bool revoked(const struct revocations *table, struct slice jti, struct slice user, int64_t issued_s)
{
    const struct revocation *of_user = find(table, REVOKES_USER, user);
    return issued_s < table->all_before_s || find(table, REVOKES_TOKEN, jti) || (of_user && issued_s < of_user->before_s);
}

int revocations_check(struct revocations *table, struct slice jti, struct slice user, int64_t issued_s)
{
    pthread_rwlock_rdlock(&table->lock);
    bool yes = revoked(table, jti, user, issued_s);
    pthread_rwlock_unlock(&table->lock);
    return yes ? ERR_TOKEN_REVOKED : 0;
}

bool revocations_page(struct revocations *table, struct slice after, size_t most,
                      void (*each)(void *arg, const struct revocation *revocation), void *arg)
{
    pthread_rwlock_rdlock(&table->lock);
    size_t from = roll_after(&table->roll, after), n = 0;
    for (; n < most && from + n < table->roll.n; n++)
        each(arg, at(&table->roll, from + n));
    bool more = from + n < table->roll.n;
    pthread_rwlock_unlock(&table->lock);
    return more;
}

bool revocations_show(struct revocations *table, struct slice id, void (*each)(void *arg, const struct revocation *revocation), void *arg)
{
    pthread_rwlock_rdlock(&table->lock);
    const struct revocation *r = (struct revocation *)roll_find(&table->roll, id);
    if (r)
        each(arg, r);
    pthread_rwlock_unlock(&table->lock);
    return r != NULL;
}
