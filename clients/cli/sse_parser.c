#include "clients/cli/sse_parser.h"

#include "hub/base/err.h"

void sse_parser_init(struct sse_parser *p, size_t max_bytes, sse_event_fn *on_event, void *arg)
{
    *p = (struct sse_parser){ .on_event = on_event, .arg = arg, .max_bytes = max_bytes, .retry_ms = -1, .first_line = true };
}

void sse_parser_fini(struct sse_parser *p)
{
    struct buf *all[] = { &p->line, &p->data, &p->type, &p->id, &p->last_id };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buf_fini(all[i]);
}

void sse_parser_restart(struct sse_parser *p)
{
    buf_reset(&p->line);
    buf_reset(&p->data);
    buf_reset(&p->type);
    buf_reset(&p->id);
    buf_add_slice(&p->id, buf_slice(&p->last_id));
    p->after_cr = false;
    p->first_line = true;
}

static void set(struct buf *b, struct slice s)
{
    buf_reset(b);
    buf_add_slice(b, s);
}

static int dispatch(struct sse_parser *p)
{
    set(&p->last_id, buf_slice(&p->id));
    if (p->last_id.failed || p->data.failed || p->type.failed)
        return ERR_MEMORY;
    int rc = 0;
    if (p->data.len) {
        struct sse_event event = {
            .type = p->type.len ? buf_slice(&p->type) : SLICE("message"),
            .data = slice(p->data.at, p->data.len - 1),     /* without the LF that follows the last line */
            .id   = buf_slice(&p->last_id),
        };
        rc = p->on_event(p->arg, &event);
    }
    buf_reset(&p->data);
    buf_reset(&p->type);
    return rc;
}

static int add_data(struct sse_parser *p, struct slice value)
{
    if (p->data.len + value.len >= p->max_bytes)
        return ERR_MESSAGE_TOO_LARGE;
    buf_add_slice(&p->data, value);
    buf_add_char(&p->data, '\n');
    return 0;
}

static int on_field(struct sse_parser *p, struct slice name, struct slice value)
{
    uint64_t ms;
    if (slice_is(name, SLICE("data")))
        return add_data(p, value);
    if (slice_is(name, SLICE("event")))
        set(&p->type, value);
    else if (slice_is(name, SLICE("id")) && !memchr(value.at, '\0', value.len))
        set(&p->id, value);
    else if (slice_is(name, SLICE("retry")) && slice_u64(value, &ms) && ms <= INT64_MAX)
        p->retry_ms = (int64_t)ms;
    return 0;
}

static int on_line(struct sse_parser *p, struct slice line)
{
    if (p->first_line && slice_begins(line, SLICE("\xEF\xBB\xBF")))
        line = slice(line.at + 3, line.len - 3);
    p->first_line = false;
    if (line.len == 0)
        return dispatch(p);
    const char *colon = memchr(line.at, ':', line.len);
    if (!colon)
        return on_field(p, line, SLICE(""));
    struct slice name = slice(line.at, (size_t)(colon - line.at));
    struct slice value = slice(colon + 1, line.len - name.len - 1);
    if (value.len && value.at[0] == ' ')
        value = slice(value.at + 1, value.len - 1);
    return on_field(p, name, value);    /* a comment has an empty name, which is no field */
}

/* The line's last piece has come; most lines are one piece and are never copied. */
static int end_line(struct sse_parser *p, struct slice piece)
{
    if (p->line.len == 0)
        return on_line(p, piece);
    buf_add_slice(&p->line, piece);
    int rc = p->line.failed ? ERR_MEMORY : on_line(p, buf_slice(&p->line));
    buf_reset(&p->line);
    return rc;
}

int sse_parser_feed(struct sse_parser *p, const char *bytes, size_t n)
{
    size_t start = 0;
    for (size_t i = 0; i < n; i++) {
        char c = bytes[i];
        bool joined = p->after_cr && c == '\n';
        p->after_cr = c == '\r';
        if (joined) {
            start = i + 1;
        } else if (c == '\n' || c == '\r') {
            int rc = end_line(p, slice(bytes + start, i - start));
            if (rc)
                return rc;
            start = i + 1;
        }
    }
    if (p->line.len + (n - start) > p->max_bytes)
        return ERR_MESSAGE_TOO_LARGE;
    buf_add(&p->line, bytes + start, n - start);
    return p->line.failed ? ERR_MEMORY : 0;
}
