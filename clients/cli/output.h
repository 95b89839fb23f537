/* output.h — standard output of a command that writes for as long as its reader likes.
 *
 * Bytes are collected and written at once, whole lines together. Who read may be gone: that is no error, and is noticed also while there
 * is nothing to write. Lifetime: embedded, zero-filled is the beginning. Threading: whoever owns it. */
#pragma once
#include "hub/base/buf.h"

enum output_state { OUTPUT_GOOD, OUTPUT_CLOSED, OUTPUT_INTERRUPTED, OUTPUT_BROKEN /* errno says why */ };

struct output {
    struct buf        waiting;
    enum output_state state;
};

void              output_fini(struct output *output);
enum output_state output_flush(struct output *output);
enum output_state output_look(struct output *output);       /* is there still somebody who reads? */
