#include "hub/base/line_reader.h"

enum { KEPT_BYTES = 16 * 1024 };     /* memory that is worth keeping from one line to the next */

static void forget(struct line_reader *reader)
{
    if (reader->kept.cap > KEPT_BYTES)
        buf_fini(&reader->kept);
    buf_reset(&reader->kept);
    reader->given = false;
}

static enum line_found pass_over(struct line_reader *reader, bool ended, enum line_found why)
{
    forget(reader);
    reader->passing = !ended;
    return why;
}

/* `part` is what the piece has of a line, without its LF. */
static enum line_found take_part(struct line_reader *reader, struct slice part, bool ended, size_t max, struct slice *ret_line)
{
    if (part.len > max || reader->kept.len > max - part.len)
        return pass_over(reader, ended, LINE_TOO_LONG);
    if (ended && reader->kept.len == 0) {
        *ret_line = part;
        return LINE_WHOLE;
    }
    buf_add_slice(&reader->kept, part);
    if (reader->kept.failed) {
        buf_fini(&reader->kept);
        return pass_over(reader, ended, LINE_NO_MEMORY);
    }
    if (!ended)
        return LINE_NONE;
    reader->given = true;
    *ret_line = buf_slice(&reader->kept);
    return LINE_WHOLE;
}

enum line_found line_reader_next(struct line_reader *reader, struct slice *piece, size_t max, struct slice *ret_line)
{
    if (reader->given)
        forget(reader);
    while (piece->len > 0) {
        const char *end = memchr(piece->at, '\n', piece->len);
        struct slice part = slice(piece->at, end ? (size_t)(end - piece->at) : piece->len);
        size_t taken = part.len + (end != NULL);
        *piece = slice(piece->at + taken, piece->len - taken);
        if (!reader->passing)
            return take_part(reader, part, end, max, ret_line);
        reader->passing = !end;
    }
    return LINE_NONE;
}

enum line_found line_reader_last(struct line_reader *reader, struct slice *ret_line)
{
    if (reader->given)
        forget(reader);
    if (reader->passing || reader->kept.len == 0)
        return LINE_NONE;
    reader->given = true;
    *ret_line = buf_slice(&reader->kept);
    return LINE_WHOLE;
}

void line_reader_fini(struct line_reader *reader)
{
    buf_fini(&reader->kept);
    reader->passing = reader->given = false;
}
