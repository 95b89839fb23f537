#include "transports/edge/roster.h"

#include "hub/base/err.h"
#include "transports/edge/conn.h"

#include <stdlib.h>

enum { ROOM_MIN = 64 };

static bool is_gap(uint64_t entry)             { return entry & 1; }
static struct conn *conn_of(uint64_t entry)    { return (struct conn *)(uintptr_t)entry; }
static uint64_t id_of(uint64_t entry)          { return is_gap(entry) ? entry >> 1 : conn_of(entry)->id; }

void roster_fini(struct roster *roster)
{
    free(roster->at);
    *roster = (struct roster){ 0 };
}

static bool resize(struct roster *roster, size_t cap)
{
    uint64_t *at = realloc(roster->at, cap * sizeof *at);
    if (!at)
        return false;
    roster->at = at;
    roster->cap = cap;
    return true;
}

int roster_add(struct roster *roster, struct conn *conn)
{
    if (roster->n == roster->cap && !resize(roster, roster->cap ? roster->cap * 2 : ROOM_MIN))
        return ERR_MEMORY;
    roster->at[roster->n++] = (uintptr_t)conn;
    return 0;
}

size_t roster_after(const struct roster *roster, uint64_t id)
{
    size_t from = 0, to = roster->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (id_of(roster->at[middle]) > id)
            to = middle;
        else
            from = middle + 1;
    }
    return from;
}

static void close_up(struct roster *roster)
{
    size_t kept = 0;
    for (size_t i = 0; i < roster->n; i++)
        if (!is_gap(roster->at[i]))
            roster->at[kept++] = roster->at[i];
    roster->n = kept;
    roster->gaps = 0;
    if (kept == 0)
        roster_fini(roster);
    else if (roster->cap > ROOM_MIN && kept < roster->cap / 4)
        resize(roster, roster->cap / 2);      /* too large does no harm */
}

void roster_remove(struct roster *roster, struct conn *conn)
{
    roster->at[roster_after(roster, conn->id) - 1] = conn->id << 1 | 1;
    if (++roster->gaps > roster->n / 2)
        close_up(roster);
}

struct conn *roster_find(const struct roster *roster, uint64_t id)
{
    size_t place = roster_after(roster, id);
    uint64_t entry = place ? roster->at[place - 1] : 1;
    return !is_gap(entry) && conn_of(entry)->id == id ? conn_of(entry) : NULL;
}

struct conn *roster_next(const struct roster *roster, size_t *at)
{
    while (*at < roster->n) {
        uint64_t entry = roster->at[(*at)++];
        if (!is_gap(entry))
            return conn_of(entry);
    }
    return NULL;
}
