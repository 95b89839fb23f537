#include "clients/cli/source.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { PIECE_BYTES = 128 * 1024, LINE_BYTES = 4 * 1024 * 1024 };

void source_lines(struct source *s, int fd, bool skip_blank)
{
    *s = (struct source){ .fd = fd, .skip_blank = skip_blank };
}

void source_repeat(struct source *s, struct slice data, uint64_t times)
{
    *s = (struct source){ .fd = -1, .same = data, .left = times ? times : UINT64_MAX };
}

void source_fini(struct source *s)
{
    line_reader_fini(&s->reader);
    buf_fini(&s->bytes);
}

bool source_wants_input(const struct source *s) { return s->fd >= 0 && !s->ended && s->piece.len == 0; }

void source_stop(struct source *s)
{
    line_reader_fini(&s->reader);      /* also of a line whose end has not come */
    s->ended = true;
    s->left = 0;
    s->piece.len = 0;
}

static bool is_blank(struct slice line)
{
    for (size_t i = 0; i < line.len; i++)
        if (!strchr(" \t\r", line.at[i]) || !line.at[i])
            return false;
    return true;
}

/* One read, if that would not wait. SOURCE_ITEM: there may be lines now. */
static enum source_found fill(struct source *s)
{
    struct pollfd in = { .fd = s->fd, .events = POLLIN };
    buf_reset(&s->bytes);
    char *room = buf_room(&s->bytes, PIECE_BYTES);
    if (!room) {
        errno = ENOMEM;
        return SOURCE_BROKEN;
    }
    if (poll(&in, 1, 0) <= 0)
        return SOURCE_WAIT;
    ssize_t n = read(s->fd, room, PIECE_BYTES);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? SOURCE_WAIT : SOURCE_BROKEN;
    s->ended = n == 0;
    s->piece = slice(room, (size_t)n);
    return SOURCE_ITEM;
}

static enum source_found found_line(enum line_found found)
{
    switch (found) {
    case LINE_WHOLE:    return SOURCE_ITEM;
    case LINE_TOO_LONG: return SOURCE_TOO_LONG;
    case LINE_NONE:     return SOURCE_END;
    default:            errno = ENOMEM; return SOURCE_BROKEN;
    }
}

static enum source_found next_line(struct source *s, struct slice *ret)
{
    for (;;) {
        bool last = s->ended && s->piece.len == 0;
        enum line_found found = last ? line_reader_last(&s->reader, ret) : line_reader_next(&s->reader, &s->piece, LINE_BYTES, ret);
        s->number += found != LINE_NONE;
        if (found == LINE_WHOLE && s->skip_blank && is_blank(*ret))
            continue;
        if (found != LINE_NONE || last)
            return found_line(found);
        enum source_found filled = fill(s);
        if (filled != SOURCE_ITEM)
            return filled;
    }
}

enum source_found source_next(struct source *s, struct slice *ret)
{
    if (s->fd >= 0)
        return next_line(s, ret);
    if (s->left == 0)
        return SOURCE_END;
    s->left -= s->left != UINT64_MAX;
    s->number++;
    *ret = s->same;
    return SOURCE_ITEM;
}
