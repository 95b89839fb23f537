/* line_reader.h — lines out of bytes that come in pieces (NDJSON).
 *
 * A line that is whole within a piece is a slice of it, without a copy; only what a piece leaves unfinished is kept. A line ends with
 * LF; what else is white space to JSON stays in it. One that is too long is told once and passed over up to its end.
 *
 *   while ((what = line_reader_next(&reader, &piece, max, &line)) != LINE_NONE) …
 *   at the end of all pieces:  line_reader_last(&reader, &line)
 *
 * Lifetime   embedded, zero-filled is the beginning; line_reader_fini frees. A line is valid until the next call.
 * Threading  whoever owns it.
 * Limits     `max` bytes of a line, and so of what is kept. */
#pragma once
#include "hub/base/buf.h"

struct line_reader {
    struct buf kept;         /* the beginning of a line whose end has not come yet */
    bool       passing;      /* over the rest of a line that has been told already */
    bool       given;        /* `kept` is the line that was given last: it goes with the next call */
};

enum line_found {
    LINE_NONE,               /* the piece has no whole line any more: what was left of it is kept */
    LINE_WHOLE,
    LINE_TOO_LONG,
    LINE_NO_MEMORY,          /* to keep it; passed over likewise */
};

/* Takes from the front of `piece`. */
enum line_found line_reader_next(struct line_reader *reader, struct slice *piece, size_t max, struct slice *ret_line);
/* What stands behind the last LF; LINE_NONE: nothing, or it has been told. */
enum line_found line_reader_last(struct line_reader *reader, struct slice *ret_line);
void      line_reader_fini(struct line_reader *reader);
