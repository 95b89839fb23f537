#include "hub/access_records.h"

#include "hub/access/authority.h"
#include "hub/access/key_table.h"
#include "hub/access/revocations.h"

/* ---- keys: `self` is the table, `ask` a key_ask ---- */

static int prepare_key(void *self, struct record_call *change)
{
    int err = key_table_prepare(self, change->key, change->ask, &change->value, &change->prepared);
    change->remove = change->value.len == 0;
    return err;
}

static void apply_key(void *self, struct record_call *change) { key_table_apply(self, change->key, change->ask, change->prepared); }
static void abandon_key(void *self, struct record_call *change) { key_table_abandon(self, change->prepared); }
static int  put_key(void *self, struct slice key, struct slice value)          { return key_table_put(self, key, value); }
static void drop_key(void *self, struct slice key)                            { key_table_drop(self, key); }
static bool print_key(void *self, struct slice key, struct buf *out)          { return key_table_print(self, key, out); }

static const struct record_ops key_ops = {
    .prepare = prepare_key, .apply = apply_key, .abandon = abandon_key, .put = put_key, .drop = drop_key, .print = print_key,
};

/* ---- revocations: likewise, a revocation_ask ---- */

static int prepare_revocation(void *self, struct record_call *change)
{
    int err = revocations_prepare(self, change->key, change->ask, &change->value, &change->prepared);
    change->remove = change->value.len == 0;
    return err;
}

static void apply_revocation(void *self, struct record_call *change) { revocations_apply(self, change->key, change->ask, change->prepared); }
static void abandon_revocation(void *self, struct record_call *change) { revocations_abandon(self, change->prepared); }
static int  put_revocation(void *self, struct slice key, struct slice value)  { return revocations_put(self, key, value); }
static void drop_revocation(void *self, struct slice key)                    { revocations_drop(self, key); }
static bool print_revocation(void *self, struct slice key, struct buf *out)  { return revocations_print(self, key, out); }

static const struct record_ops revocation_ops = {
    .prepare = prepare_revocation, .apply = apply_revocation, .abandon = abandon_revocation,
    .put = put_revocation, .drop = drop_revocation, .print = print_revocation,
};

void hub_add_access(struct hub *hub, struct authority *authority)
{
    hub_add_records(hub, RECORD_KEY, &key_ops, authority_key_table(authority));
    hub_add_records(hub, RECORD_REVOCATION, &revocation_ops, authority_revocations(authority));
}

/* ---- what time brings: what cannot be begun now is due again the next time ---- */

/* That a key was used here is for this node to note. */
static size_t sweep_keys(struct hub *hub, struct key_table *table, int64_t now_s)
{
    struct key_due due[KEYS_DUE_MAX];
    size_t n = key_table_due(table, now_s, due), begun = 0;
    for (size_t i = 0; i < n; i++) {
        if (due[i].ask->change != KEY_NOTE_USE && !hub_sweeps(hub))
            continue;
        if (hub_change_record(hub, RECORD_KEY, slice_of(due[i].id), due[i].ask))
            break;
        begun++;
    }
    return begun;
}

static size_t sweep_revocations(struct hub *hub, struct revocations *revocations, int64_t now_s)
{
    static struct revocation_ask remove_it;
    char ids[REVOCATIONS_DUE_MAX][ROLL_ID_MAX + 1];
    remove_it.due_s = now_s;
    size_t n = revocations_due(revocations, now_s, ids), begun = 0;
    while (begun < n && !hub_change_record(hub, RECORD_REVOCATION, slice_of(ids[begun]), &remove_it))
        begun++;
    return begun;
}

size_t hub_sweep_access(struct hub *hub, struct authority *authority, int64_t now_s)
{
    size_t begun = sweep_keys(hub, authority_key_table(authority), now_s);
    return begun + (hub_sweeps(hub) ? sweep_revocations(hub, authority_revocations(authority), now_s) : 0);
}
