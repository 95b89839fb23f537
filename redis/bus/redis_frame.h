/* redis_frame.h — what the subscriber link brings.
 *
 *   message   epoch 8 · proof 8 · a message as in store_block.h (seq 8 · prev 8 · time 8 · …)      of publish.lua
 *   echo      epoch 8 · proof 8 · seq 8 · token                                                    of echo, fetch and proof
 *
 * Numbers are little-endian. Whoever may publish in Redis may send anything: all is checked.
 * Threading: pure functions. */
#pragma once
#include "hub/msg.h"

enum { REDIS_PROOF_BYTES = 8 };

/* The newest message that a node has seen, and how it proves that Redis holds it (EXACT.md 17). */
struct redis_sight {
    uint64_t epoch, seq;
    char     proof[REDIS_PROOF_BYTES];
};

/* 0 and a message with one reference; ERR_REDIS_FRAME, ERR_MEMORY. */
int  redis_frame_message(struct slice frame, struct redis_sight *ret_sight, struct msg **ret_m);
bool redis_frame_echo(struct slice frame, struct redis_sight *ret_sight, uint64_t *ret_token);      /* token 0: none */
