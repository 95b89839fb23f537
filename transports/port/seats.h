/* seats.h — what a connection of the public port counts in: its edge and, when there is a limit per address, its address.
 *
 * Whose address that is may be known only when its head has been read (a proxy passes it on, hub/access/forwarded.h): then the
 * acceptor counts none, and its edge does. So the table of addresses has a lock; leaving needs none.
 *
 * Lifetime   the table: from before the edges' threads start until after they have ended. A struct seats is moved along with its
 *            socket; whoever closes the socket leaves the seats, once.
 * Threading  any thread.
 * Limits     as many addresses as there are connections, and before each sweep as many again that nobody sits at. */
#pragma once
#include "hub/base/ip.h"

#include <stdatomic.h>

struct config;
struct seat_table;

struct seats {
    atomic_uint *edge;
    atomic_uint *address;        /* NULL: its address is not counted */
    struct ip    ip;             /* the client's, also when a proxy is on the other side; no address: a unix socket */
};

struct seat_table *seat_table_new(void);                   /* NULL: no memory */
void               seat_table_free(struct seat_table *table);      /* NULL is fine */

/* Counts `ip` for these seats, which count no address yet, if limits.connections_per_address is set and it is an address. False:
 * it has all it may have, or there is no memory to count it. */
bool seats_take_address(struct seat_table *table, const struct config *config, struct ip ip, struct seats *seats);
void seats_leave_address(struct seats *seats);
void seats_leave(struct seats *seats);                     /* zeroes them */
