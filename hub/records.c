#include "hub/records.h"

#include "hub/base/hash.h"
#include "hub/core.h"

#include <stdlib.h>

static const char *const kind_names[RECORD_KINDS] = { [RECORD_KEY] = "key", [RECORD_REVOCATION] = "revocation", [RECORD_WEBHOOK] = "webhook" };

struct slice record_kind_name(enum record_kind kind) { return slice_of(kind_names[kind]); }

void hub_add_records(struct hub *hub, enum record_kind kind, const struct record_ops *ops, void *self)
{
    hub->record_kinds[kind].ops = ops;
    hub->record_kinds[kind].self = self;
}

/* RECORD_KINDS: nobody's here. */
static int kind_by_name(const struct hub *hub, struct slice name)
{
    int i = 0;
    while (i < RECORD_KINDS && !(slice_is(name, slice_of(kind_names[i])) && hub->record_kinds[i].ops))
        i++;
    return i;
}

int hub_restore_record(struct hub *hub, struct slice kind, struct slice key, struct slice value)
{
    int i = kind_by_name(hub, kind);
    return i < RECORD_KINDS ? hub->record_kinds[i].ops->put(hub->record_kinds[i].self, key, value) : ERR_NOT_FOUND;
}

static const struct record_ops *ops_of(const struct hub *hub, const struct record_call *change)
{
    return hub->record_kinds[change->kind].ops;
}

static void *self_of(const struct hub *hub, const struct record_call *change) { return hub->record_kinds[change->kind].self; }

/* ---- lists ---- */

static void append(struct record_call **list, struct record_call *change)
{
    while (*list)
        list = &(*list)->next;
    change->next = NULL;
    *list = change;
}

static bool has(const struct record_call *list, const struct record_call *change)
{
    for (; list; list = list->next)
        if (list->hash == change->hash && list->kind == change->kind && slice_is(list->key, change->key))
            return true;
    return false;
}

/* ---- ends ---- */

/* The value is not needed any more: what an origin finds in its call is what the kind has put into `ask`. */
static void answer(struct hub *hub, struct record_call *change, int err)
{
    hub->n_changes--;
    buf_fini(&change->value);
    if (change->own)
        free(change);
    else
        hub_answer(hub, &change->call, err);
}

static void apply(struct hub *hub, struct record_call *change)
{
    change->durable = hub_keeps(hub) || hub->engine;
    ops_of(hub, change)->apply(self_of(hub, change), change);
    answer(hub, change, 0);
}

static void abandon(struct hub *hub, struct record_call *change, int err)
{
    change->call.err = err;
    ops_of(hub, change)->abandon(self_of(hub, change), change);
    answer(hub, change, err);
}

/* ---- under way ---- */

static void enter_row(struct record_call *change)
{
    change->row = (struct store_record){
        .kind = slice_of(kind_names[change->kind]), .key = change->key,
        .value = change->remove ? slice(NULL, 0) : buf_slice(&change->value),
    };
}

static void add_row(struct store_group *group, struct store_record *row)
{
    struct store_record **last = &group->records;
    while (*last)
        last = &(*last)->next;
    *last = row;
}

/* It is on its way, or has come to its end already. */
static void begin(struct hub *hub, struct record_call *change)
{
    struct store_group *group = NULL;
    int err = ops_of(hub, change)->prepare(self_of(hub, change), change);
    if (err) {
        answer(hub, change, err);
        return;
    }
    if (change->value.failed || (hub_keeps(hub) && !(group = publish_group(hub)))) {
        abandon(hub, change, ERR_MEMORY);
        return;
    }
    if (hub->engine) {
        append(&hub->changes, change);
        hub->engine->record(hub->engine, change);
        return;
    }
    if (!group) {
        apply(hub, change);
        return;
    }
    enter_row(change);
    add_row(group, &change->row);
    append(&hub->changes, change);
}

/* Those that wait for an earlier change of the same record, as far as that is over. */
static void begin_waiting(struct hub *hub)
{
    struct record_call *waiting = hub->changes_waiting, *next;
    hub->changes_waiting = NULL;
    for (; waiting; waiting = next) {
        next = waiting->next;
        if (has(hub->changes, waiting) || has(hub->changes_waiting, waiting))
            append(&hub->changes_waiting, waiting);
        else
            begin(hub, waiting);
    }
}

static int refuse(const struct hub *hub, const struct record_call *change)
{
    if (!hub->record_kinds[change->kind].ops)
        return ERR_NOT_FOUND;
    if (hub->draining)
        return ERR_DRAINING;
    return hub->n_changes >= RECORDS_UNDER_WAY ? ERR_BUSY : 0;
}

static void run(struct hub *hub, struct record_call *change)
{
    hub->n_changes++;
    change->hash = hash_bytes(change->key);
    if (has(hub->changes, change) || has(hub->changes_waiting, change))
        append(&hub->changes_waiting, change);
    else
        begin(hub, change);
}

void record_run(struct hub *hub, struct record_call *change)
{
    int err = refuse(hub, change);
    if (err)
        hub_answer(hub, &change->call, err);
    else
        run(hub, change);
}

int hub_change_record(struct hub *hub, enum record_kind kind, struct slice key, void *ask)
{
    struct record_call *change = calloc(1, sizeof *change + key.len);
    if (!change)
        return ERR_MEMORY;
    *change = (struct record_call){ .kind = kind, .key = slice((char *)(change + 1), key.len), .ask = ask, .own = true };
    memcpy(change + 1, key.at, key.len);
    int err = refuse(hub, change);
    if (err)
        free(change);
    else
        run(hub, change);
    return err;
}

static void leave(struct hub *hub, const struct record_call *change)
{
    struct record_call **at = &hub->changes;      /* nearly always the first: groups are answered in order */
    while (*at != change)
        at = &(*at)->next;
    *at = change->next;
}

void records_stored(struct hub *hub, const struct store_group *group, int err)
{
    for (struct store_record *row = group->records, *next; row; row = next) {
        struct record_call *change = (struct record_call *)((char *)row - offsetof(struct record_call, row));
        next = row->next;
        leave(hub, change);
        if (err)
            abandon(hub, change, err);
        else
            apply(hub, change);
    }
    begin_waiting(hub);
}

/* ---- with an engine ---- */

bool hub_sweeps(const struct hub *hub) { return !hub->engine || hub->engine->sweeps(hub->engine); }

static void end(struct hub *hub, struct record_call *change, int err)
{
    leave(hub, change);
    if (err)
        answer(hub, change, err);
    else
        apply(hub, change);
    begin_waiting(hub);
}

void engine_recorded(struct hub *hub, struct record_call *change, int err)
{
    change->call.err = err;
    if (err)
        ops_of(hub, change)->abandon(self_of(hub, change), change);
    end(hub, change, err);
}

void engine_record_undo(struct hub *hub, struct record_call *change)
{
    ops_of(hub, change)->abandon(self_of(hub, change), change);
    buf_reset(&change->value);
    change->remove = false;
    change->prepared = NULL;
}

void engine_record_redo(struct hub *hub, struct record_call *change)
{
    int err = ++change->tries < RECORD_TRIES ? ops_of(hub, change)->prepare(self_of(hub, change), change) : ERR_BUSY;
    if (err)
        end(hub, change, err);
    else if (change->value.failed)
        engine_recorded(hub, change, ERR_MEMORY);
    else
        hub->engine->record(hub->engine, change);
}

int engine_record(struct hub *hub, struct slice kind, struct slice key, struct slice value)
{
    int i = kind_by_name(hub, kind);
    if (i == RECORD_KINDS)
        return ERR_NOT_FOUND;
    if (value.len > 0)
        return hub->record_kinds[i].ops->put(hub->record_kinds[i].self, key, value);
    hub->record_kinds[i].ops->drop(hub->record_kinds[i].self, key);
    return 0;
}

bool engine_record_print(struct hub *hub, struct slice kind, struct slice key, struct buf *out)
{
    int i = kind_by_name(hub, kind);
    return i < RECORD_KINDS && hub->record_kinds[i].ops->print(hub->record_kinds[i].self, key, out);
}
