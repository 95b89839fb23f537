/* position.h — where a reader is: `epoch.seq`, what clients store and send back.
 *
 *   k3q7x2ab.1842     8 letters of a-z2-7 (a random 40-bit epoch, base32), a dot, the sequence number in decimal
 *
 * Sequence numbers count within one epoch from 1; 0 is "before everything". A text that cannot be read is a position of
 * no epoch (epoch 0), which is foreign to every hub: never an error, always a gap (EXACT.md 3).
 * Threading: pure functions. */
#pragma once
#include "hub/base/buf.h"

enum { POSITION_TEXT = 32 };     /* bytes that any printed position fits in, with its NUL */

struct position {
    uint64_t epoch;              /* 0: of no epoch */
    uint64_t seq;
};

uint64_t        epoch_new(void);                                         /* random, never 0 */
size_t          position_print(char out[POSITION_TEXT], struct position p);   /* length without the NUL */
struct position position_parse(struct slice text);                       /* epoch 0 when it is none */
void            buf_add_position(struct buf *b, struct position p);
