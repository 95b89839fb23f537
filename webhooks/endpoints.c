#include "webhooks/endpoints.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/config/config.h"
#include "hub/records.h"
#include "webhooks/endpoint_form.h"

#include <stdlib.h>
#include <sys/random.h>
#include <uthash.h>

struct entry {
    UT_hash_handle   hh;
    uint64_t         number;
    struct endpoint *endpoint;
};

struct endpoints {
    struct endpoints_setup setup;
    struct entry          *table;
    uint32_t               types;      /* that an enabled endpoint wants */
};

/* ---- the table ---- */

static struct entry *find(const struct endpoints *all, uint64_t number)
{
    struct entry *entry = NULL;
    HASH_FIND(hh, all->table, &number, sizeof number, entry);
    return entry;
}

const struct endpoint *endpoints_find(const struct endpoints *all, uint64_t number)
{
    const struct entry *entry = find(all, number);
    return entry ? entry->endpoint : NULL;
}

static int by_number(const void *a, const void *b)
{
    const struct endpoint *const *left = a, *const *right = b;
    return (*left)->number < (*right)->number ? -1 : (*left)->number > (*right)->number;
}

size_t endpoints_after(const struct endpoints *all, uint64_t after, size_t most, const struct endpoint **ret_endpoints)
{
    const struct endpoint *found[EVENT_TARGETS];
    struct entry *entry, *next;
    size_t n = 0;
    HASH_ITER(hh, all->table, entry, next)
        if (entry->number > after && n < EVENT_TARGETS)
            found[n++] = entry->endpoint;
    qsort(found, n, sizeof *found, by_number);
    n = n < most ? n : most;
    memcpy(ret_endpoints, found, n * sizeof *found);
    return n;
}

static void look_at_types(struct endpoints *all)
{
    struct entry *entry, *next;
    all->types = 0;
    HASH_ITER(hh, all->table, entry, next)
        if (!entry->endpoint->disabled)
            all->types |= entry->endpoint->types;
}

/* Takes the reference. */
static int put(struct endpoints *all, struct endpoint *endpoint)
{
    struct entry *entry = find(all, endpoint->number);
    if (!entry) {
        if (!(entry = calloc(1, sizeof *entry))) {
            endpoint_unref(endpoint);
            return ERR_MEMORY;
        }
        entry->number = endpoint->number;
        HASH_ADD(hh, all->table, number, sizeof entry->number, entry);
    }
    endpoint_unref(entry->endpoint);
    entry->endpoint = endpoint;
    look_at_types(all);
    return dispatcher_put(all->setup.dispatcher, endpoint);
}

static void drop(struct endpoints *all, uint64_t number)
{
    struct entry *entry = find(all, number);
    if (!entry)
        return;
    HASH_DELETE(hh, all->table, entry);
    endpoint_unref(entry->endpoint);
    free(entry);
    look_at_types(all);
    dispatcher_drop(all->setup.dispatcher, number);
    all->setup.removed(all->setup.arg, number);
}

/* ---- who is to have an event ---- */

bool endpoints_want(const struct endpoints *all, enum event_type type) { return all->types >> type & 1; }

size_t endpoints_targets(struct endpoints *all, enum event_type type, const struct msg *m, struct event_target *ret_targets)
{
    struct entry *entry, *next;
    size_t n = 0;
    HASH_ITER(hh, all->table, entry, next) {
        const struct endpoint *endpoint = entry->endpoint;
        if (endpoint->disabled || n == EVENT_TARGETS || !endpoint_wants(endpoint, type, m))
            continue;
        ret_targets[n++] = (struct event_target){ entry->number, endpoint_lane(endpoint, m), dispatcher_is_full(all->setup.dispatcher, entry->number) };
    }
    return n;
}

/* ---- changes ---- */

static struct endpoint_terms terms_of(const struct endpoints *all)
{
    return (struct endpoint_terms){ dispatcher_guard(all->setup.dispatcher), all->setup.config->webhooks_allow_http, clock_wall_ms(all->setup.clock) / 1000 };
}

static struct endpoint *make(struct endpoints *all, struct endpoint_ask *ask, const struct endpoint *before)
{
    struct endpoint_terms terms = terms_of(all);
    switch (ask->change) {
    case ENDPOINT_CREATE: return endpoint_make(ask->number, ask->document, &terms, &ask->problems);
    case ENDPOINT_CHANGE: return endpoint_patch(before, ask->document, &terms, &ask->problems);
    case ENDPOINT_ROTATE: return endpoint_rotate(before, ask->document, ask->overlap_ms, &terms, &ask->problems);
    case ENDPOINT_MARK:   return endpoint_mark(before, ask->disabled, ask->failing_since_s, terms.now_s);
    case ENDPOINT_DELETE: break;
    }
    return NULL;
}

static int check(const struct endpoints *all, const struct endpoint_ask *ask, const struct endpoint *before)
{
    if (ask->change == ENDPOINT_CREATE)
        return HASH_COUNT(all->table) >= all->setup.config->webhooks_endpoints ? ERR_TOO_MANY_WEBHOOKS : 0;
    if (!before)
        return ERR_NOT_FOUND;
    if (ask->change == ENDPOINT_MARK && ask->disabled && before->disabled)
        return ERR_VERSION_CHANGED;      /* another attempt that was under way has said so first */
    return ask->if_version && ask->if_version != before->version ? ERR_VERSION_CHANGED : 0;
}

static int prepare_change(struct endpoints *all, struct endpoint_ask *ask, struct record_call *change)
{
    const struct endpoint *before = endpoints_find(all, ask->number);
    int err = check(all, ask, before);
    ask->problems.n = 0;
    if (err)
        return err;
    if (ask->change == ENDPOINT_DELETE) {
        change->remove = true;
        return 0;
    }
    struct endpoint *endpoint = make(all, ask, before);
    if (!endpoint)
        return ask->problems.n > 0 ? ask->problems.found[0].err : ERR_MEMORY;
    endpoint_print_record(endpoint, &change->value);
    change->prepared = endpoint;
    if (change->value.len <= ENDPOINT_RECORD_MAX)
        return 0;
    endpoint_unref(endpoint);
    webhook_problem(&ask->problems, "", ERR_BODY_TOO_LARGE, "all of it together is more than %d bytes", ENDPOINT_RECORD_MAX);
    return ERR_BODY_TOO_LARGE;
}

static int prepare(void *self, struct record_call *change)
{
    struct endpoint_ask *ask = change->ask;
    int err = prepare_change(self, ask, change);
    if (err)
        ask->ended(ask, err, NULL, false);
    return err;
}

static void apply(void *self, struct record_call *change)
{
    struct endpoints *all = self;
    struct endpoint_ask *ask = change->ask;
    struct endpoint *endpoint = change->prepared;
    if (endpoint && put(all, endpoint))
        log_error("webhooks", "no memory for an endpoint: it is in force when the hub is started again");
    if (!endpoint)
        drop(all, ask->number);
    ask->ended(ask, 0, endpoints_find(all, ask->number), change->durable);
}

static void abandon(void *self, struct record_call *change)
{
    struct endpoint_ask *ask = change->ask;
    (void)self;
    endpoint_unref(change->prepared);
    if (change->call.err)
        ask->ended(ask, change->call.err, NULL, false);
}

static int put_record(void *self, struct slice key, struct slice value)
{
    struct endpoint *endpoint = NULL;
    uint64_t number = webhook_id_read(key);
    int err = number ? endpoint_read_record(number, value, &endpoint) : ERR_STORE_OPEN;
    return err ? err : put(self, endpoint);
}

static void drop_record(void *self, struct slice key) { drop(self, webhook_id_read(key)); }

static bool print_record(void *self, struct slice key, struct buf *out)
{
    const struct endpoint *endpoint = endpoints_find(self, webhook_id_read(key));
    if (endpoint)
        endpoint_print_record(endpoint, out);
    return endpoint;
}

static const struct record_ops ops = {
    .prepare = prepare, .apply = apply, .abandon = abandon, .put = put_record, .drop = drop_record, .print = print_record,
};

void endpoints_change(struct endpoints *all, struct endpoint_ask *ask)
{
    char id[WEBHOOK_ID_TEXT];
    webhook_id_print(ask->number, id);
    ask->problems.n = 0;
    int err = hub_change_record(all->setup.hub, RECORD_WEBHOOK, slice_of(id), ask);
    if (err)
        ask->ended(ask, err, NULL, false);
}

/* 41 bits of milliseconds since 1970 and 22 at random. */
uint64_t endpoint_number_new(int64_t wall_ms)
{
    uint32_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return 0;
    return ((uint64_t)wall_ms << 22 | (random & 0x3fffff)) & INT64_MAX;
}

/* ---- life ---- */

struct endpoints *endpoints_new(const struct endpoints_setup *setup)
{
    struct endpoints *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    all->setup = *setup;
    hub_add_records(setup->hub, RECORD_WEBHOOK, &ops, all);
    return all;
}

void endpoints_free(struct endpoints *all)
{
    struct entry *entry, *next;
    if (!all)
        return;
    HASH_ITER(hh, all->table, entry, next) {
        HASH_DELETE(hh, all->table, entry);
        endpoint_unref(entry->endpoint);
        free(entry);
    }
    free(all);
}

void endpoints_reconfigure(struct endpoints *all, const struct config *config) { all->setup.config = config; }
