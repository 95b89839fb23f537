/* store_memory.c — the store of a hub that keeps nothing (store.dir is empty): events and deliveries in memory, in SQLite's own, so that
 * webhooks work the same way there. Nothing of it outlives the process, and the hub gives it nothing else (store.forgets).
 *
 * It runs on the hub's thread, inside submit and read: there is no disk to wait for. Answers are mail, as of any store. */
#include "hub/base/err.h"
#include "hub/call.h"
#include "hub/store.h"
#include "hub/store/store_deliveries.h"

#include <stdlib.h>

struct memory_store {
    struct store             port;      /* first */
    sqlite3                 *conn;
    struct store_deliveries *deliveries;
    struct post              to_hub;
};

static struct memory_store *memory(struct store *store) { return (struct memory_store *)store; }

static bool commit(struct memory_store *s, struct store_group *group)
{
    const char *fault = NULL;
    store_deliveries_begin(s->deliveries);
    if (!store_sql_run(s->conn, "BEGIN"))
        return false;
    if (store_deliveries_add(s->deliveries, group, &fault) && store_sql_run(s->conn, "COMMIT")) {
        store_deliveries_committed(s->deliveries);
        return true;
    }
    store_sql_run(s->conn, "ROLLBACK");
    return false;
}

static void answer(struct memory_store *s, struct letter *letter)
{
    post_put(&s->to_hub, letter, 0);
    post_flush(&s->to_hub);
}

static void submit(struct store *store, struct store_group *group)
{
    struct memory_store *s = memory(store);
    group->err = commit(s, group) ? 0 : ERR_STORE_FAILED;
    group->next_generation = group->generation;
    answer(s, &group->letter);
}

static void read(struct store *store, struct delivery_read *read)
{
    struct memory_store *s = memory(store);
    store_deliveries_read(s->deliveries, read);
    read->letter.kind = LETTER_READ;
    answer(s, &read->letter);
}

struct store *store_memory_open(struct mailbox *hub)
{
    struct memory_store *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->port = (struct store){ .submit = submit, .read = read, .forgets = true };
    post_init(&s->to_hub, hub, SIZE_MAX);
    if (sqlite3_open_v2(":memory:", &s->conn, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK &&
        store_sql_run(s->conn, store_deliveries_schema) && (s->deliveries = store_deliveries_open(s->conn)))
        return &s->port;
    store_memory_close(&s->port);
    return NULL;
}

void store_memory_close(struct store *store)
{
    if (!store)
        return;
    store_deliveries_close(memory(store)->deliveries);
    sqlite3_close(memory(store)->conn);
    free(store);
}
