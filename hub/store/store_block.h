/* store_block.h — messages as the bytes of one row of the store.
 *
 * A row for every message costs SQLite more than all the rest of a publish costs the hub (parameters, a record, a place in
 * the tree, and as much again when it is deleted), so a row holds a block of them: what one transaction adds, cut at
 * STORE_BLOCK_BYTES so that trims have something to take away.
 *
 *   block    message message …          in order of number
 *   message  seq 8 · prev 8 · time 8 · data_len 4 · kind 1 · channel_len 1 · event_len 1 · client_len 1 · channel event client data
 *            kind with bit 7 set: behind it stand ttl 8 · passing 4 · passed_s 4 · exclude_len 1, and between client and data the exclude
 *            numbers little-endian; as struct msg has them (msg.h), but for the epoch, which is the store's;
 *            kind with bit 6 set: behind data stands trace 17 (trace.h)
 *
 * What is read comes from a file that anybody may have written: every length and name is checked.
 * Threading: none of its own. */
#pragma once
#include "hub/idempotency.h"
#include "hub/msg.h"

enum { STORE_BLOCK_BYTES = 32 * 1024 };

/* Appends it; buf.h tells what happens without memory. */
void store_block_add(struct buf *block, const struct msg *m);
/* Takes the first message off a block that is not empty. 0 and a message with one reference; ERR_STORE_OPEN: this is none;
 * ERR_MEMORY. */
int  store_block_take(struct slice *block, uint64_t epoch, struct msg **ret_m);
/* Likewise, of an event (hub_event.h): it may have no channel. */
int  store_event_take(struct slice *block, uint64_t epoch, struct msg **ret_m);

/* Idempotency records as the bytes of one row: nine numbers of 8 bytes each, little-endian, digests as they are. Likewise. */
void store_key_add(struct buf *block, const struct idempotency_record *record);
int  store_key_take(struct slice *block, struct idempotency_record *ret);
