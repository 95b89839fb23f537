/* keys_wait.h — those of an edge who hold a token whose key is not known yet, and wait for it to be fetched (ERR_KEYS_PENDING).
 *
 *   token of an unknown key ─> keys_wait_begin ──CALL_KEYS, one for all that wait──> hub: fetches ──> again() ─> checked once more
 *                                    ^                                                                             │
 *                                    └────────────────── still unknown, and it may ask again ─────────────────────┘
 *
 * Whoever waits embeds a struct keys_wait and says what it costs in memory. again() is told how a token counts that is still
 * unknown:
 *
 *   0                   may wait again: nobody has looked since it came, or the look failed
 *   ERR_BAD_TOKEN       the keys are as they are now, and this one is not among them
 *   ERR_KEYS_PENDING    it has waited for KEYS_WAIT_MS: the keys cannot be fetched now
 *   ERR_DRAINING        the hub goes away
 *
 * Lifetime   embedded; keys_wait_end before its owner goes. again() may free its owner.
 * Threading  edge thread.
 * Limits     KEYS_WAIT_BYTES for all that wait on an edge; keys_wait_begin beyond it is ERR_KEYS_PENDING. */
#pragma once
#include "hub/base/list.h"

#include <stdint.h>

struct edge;

enum { KEYS_WAIT_BYTES = 16 * 1024 * 1024 };

struct keys_wait {
    struct link link;              /* in edge->keys_waiting */
    int64_t     until_ms;          /* mono clock; 0: it has not waited yet */
    size_t      bytes;             /* what it was said to cost, while it is in the list */
    bool        asked;             /* the call under way was sent after it had come */
    void      (*again)(struct keys_wait *wait, int otherwise);
};

void keys_wait_init(struct keys_wait *wait, void (*again)(struct keys_wait *wait, int otherwise));
/* 0; ERR_KEYS_PENDING: too many wait already, or it has waited long enough. */
int  keys_wait_begin(struct edge *edge, struct keys_wait *wait, size_t bytes);
void keys_wait_end(struct edge *edge, struct keys_wait *wait);      /* fine when it does not wait */
