/* store_deliveries.h — events and deliveries (deliveries.h) in the database: two tables beside the log of messages.
 *
 *   events      number, epoch, type, time, channel, name, bytes, message as store_block.h has it (its channel may be empty)
 *   deliveries  number, endpoint, status, due, lane, tries, settled, attempts        an index of what is pending by when it is due, one of
 *                                                                                   those that wait in a lane, one of dead letters
 *
 * A delivery's number begins with its event's, so those of one event stand together, and new ones at the end. What is read are pages;
 * nothing of a queue is in memory but what was asked for.
 *
 * What is kept no longer goes in slices, a few with each transaction that asks for it, from the oldest on.
 *
 * Lifetime   store_deliveries_open … store_deliveries_close, within that of the connection.
 * Threading  the connection's. */
#pragma once
#include "hub/deliveries.h"
#include "hub/store.h"
#include "hub/store/store_sql.h"

extern const char store_deliveries_schema[];      /* the tables, as the step of store_schema.c makes them */

struct store_deliveries;

/* NULL: no memory, or SQLite says why. How much there is it counts later, in slices, before anything is trimmed. */
struct store_deliveries *store_deliveries_open(sqlite3 *conn);
void store_deliveries_close(struct store_deliveries *deliveries);      /* NULL is fine */

/* In a transaction: what the group has of events, settlings and limits. false: it fails; *ret_fault: why, when that is not for SQLite to say. */
bool store_deliveries_add(struct store_deliveries *deliveries, struct store_group *group, const char **ret_fault);
void store_deliveries_begin(struct store_deliveries *deliveries);
void store_deliveries_committed(struct store_deliveries *deliveries);

/* Between transactions: fills in the answer. */
void store_deliveries_read(struct store_deliveries *deliveries, struct delivery_read *read);
