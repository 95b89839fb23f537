#include "transports/port/seats.h"

#include "hub/base/hash.h"
#include "hub/config/config.h"

#include <pthread.h>
#include <stdlib.h>
#define HASH_NONFATAL_OOM 1      /* an address that finds no memory is left out of the table: hh.tbl is NULL */
#include <uthash.h>

enum { SWEEP_AT = 1024 };        /* addresses kept before those nobody sits at are forgotten */

struct address_seats {
    atomic_uint    taken;
    struct ip      customer;
    UT_hash_handle hh;
};

struct seat_table {
    pthread_mutex_t       lock;
    struct address_seats *addresses;
    size_t                sweep_at;
};

struct seat_table *seat_table_new(void)
{
    struct seat_table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    pthread_mutex_init(&table->lock, NULL);
    table->sweep_at = SWEEP_AT;
    return table;
}

/* Seats are taken under the lock only, so an address nobody sits at is nobody's. */
static void forget(struct seat_table *table, bool all)
{
    struct address_seats *seats, *following;
    HASH_ITER(hh, table->addresses, seats, following)
        if (all || atomic_load_explicit(&seats->taken, memory_order_acquire) == 0) {
            HASH_DEL(table->addresses, seats);
            free(seats);
        }
    table->sweep_at = HASH_COUNT(table->addresses) * 2 > SWEEP_AT ? HASH_COUNT(table->addresses) * 2 : SWEEP_AT;
}

void seat_table_free(struct seat_table *table)
{
    if (!table)
        return;
    forget(table, true);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

/* NULL: no memory. */
static struct address_seats *get(struct seat_table *table, struct ip customer)
{
    struct address_seats *seats;
    unsigned hash = (unsigned)hash_bytes(slice((const char *)customer.at, sizeof customer.at));
    HASH_FIND_BYHASHVALUE(hh, table->addresses, &customer, sizeof customer, hash, seats);
    if (seats)
        return seats;
    if (HASH_COUNT(table->addresses) >= table->sweep_at)
        forget(table, false);
    if (!(seats = calloc(1, sizeof *seats)))
        return NULL;
    seats->customer = customer;
    HASH_ADD_BYHASHVALUE(hh, table->addresses, customer, sizeof seats->customer, hash, seats);
    if (!seats->hh.tbl) {
        free(seats);
        return NULL;
    }
    return seats;
}

bool seats_take_address(struct seat_table *table, const struct config *config, struct ip ip, struct seats *seats)
{
    size_t most = config->limits_connections_per_address;
    if (!most || ip_is_none(ip))
        return true;
    pthread_mutex_lock(&table->lock);
    struct address_seats *found = get(table, ip_customer(ip));
    bool free_seat = found && atomic_load_explicit(&found->taken, memory_order_relaxed) < most;
    if (free_seat) {
        atomic_fetch_add_explicit(&found->taken, 1, memory_order_relaxed);
        seats->address = &found->taken;
    }
    pthread_mutex_unlock(&table->lock);
    return free_seat;
}

void seats_leave_address(struct seats *seats)
{
    if (seats->address)
        atomic_fetch_sub_explicit(seats->address, 1, memory_order_release);
    seats->address = NULL;
}

void seats_leave(struct seats *seats)
{
    if (seats->edge)
        atomic_fetch_sub_explicit(seats->edge, 1, memory_order_relaxed);
    seats_leave_address(seats);
    *seats = (struct seats){ 0 };
}
