/* source.h — where the messages of `carillon pub` come from, one after the other: lines of standard input, or the same one many times.
 *
 * Reading never waits: SOURCE_WAIT says that there is nothing whole yet, and source_wants_input that standard input is to be waited for.
 * Lifetime: embedded; source_lines or source_repeat to source_fini. A line is valid until the next call. Threading: whoever owns it.
 * Limits: a line of 4 MiB. */
#pragma once
#include "hub/base/line_reader.h"

enum source_found { SOURCE_ITEM, SOURCE_WAIT, SOURCE_TOO_LONG, SOURCE_END, SOURCE_BROKEN /* errno says why */ };

struct source {
    int                fd;              /* of lines; -1: what is repeated */
    struct line_reader reader;
    struct buf         bytes;           /* read, and not taken apart yet */
    struct slice       piece;           /* what is left of them */
    struct slice       same;            /* what is repeated, borrowed */
    uint64_t           left;            /* so many times more */
    uint64_t           number;          /* of the last item, from 1 on; blank lines count where lines are items */
    bool               skip_blank;
    bool               ended;
};

void source_lines(struct source *source, int fd, bool skip_blank);
void source_repeat(struct source *source, struct slice data, uint64_t times);      /* times 0: for ever */
void source_fini(struct source *source);
enum source_found source_next(struct source *source, struct slice *ret_item);
bool source_wants_input(const struct source *source);
void source_stop(struct source *source);                                            /* nothing more comes */
