#include "transports/line/line.h"

#include "hub/base/log.h"
#include "transports/edge/edge.h"
#include "transports/request/stream_request.h"

#include <sys/socket.h>

/* ---- states ---- */

void line_die(struct line *line)
{
    if (line->state == LINE_DEAD)
        return;
    line->state = LINE_DEAD;
    list_add_last(&line->lines->dead, &line->link);
}

/* Who takes nothing until the deadline costs the kernel no buffers either: the close is a reset. */
static void line_cut(struct line *line)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    setsockopt(line->socket.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    line_die(line);
}

void line_lose_conn(struct line *line)
{
    struct conn *conn = line->conn;
    line->conn = NULL;
    if (conn)
        conn_gone(conn);
}

static void shut_if_all_left(struct line *line)
{
    if (line->state != LINE_ENDING || line->kind->holds(line))
        return;
    line->state = LINE_SHUT;
    if (!line->kind->shut(line))
        line_die(line);
}

void line_end(struct line *line, int64_t within_ms)
{
    if (line->state != LINE_OPEN)
        return;
    line->state = LINE_ENDING;
    line->deadline_ms = clock_mono_ms(line->lines->edge->clock) + within_ms;
    list_add_last(&line->lines->ending, &line->link);
    line->kind->read(line, true);      /* the other side's end must be seen */
    shut_if_all_left(line);
}

void line_on_left(struct line *line)
{
    if (line->state == LINE_ENDING)
        shut_if_all_left(line);
    else if (line->conn && line->state == LINE_OPEN)
        conn_on_writable(line->conn);
}

/* ---- struct line_ops ---- */

static ssize_t op_send(struct conn *conn, const struct iovec *iov, int n)
{
    struct line *line = conn->line;
    if (line->state == LINE_DEAD)
        return -1;
    if (line->kind->holds(line))
        return 0;
    ssize_t taken = line->kind->send ? line->kind->send(line, iov, n) : socket_write(&line->socket, iov, n);
    if (taken < 0)
        line_die(line);
    else if (socket_held(&line->socket))
        line->kind->want_writable(line);
    return taken < 0 ? -1 : taken;
}

static void op_keep(struct conn *conn, const void *rest, size_t len)
{
    struct line *line = conn->line;
    if (line->state == LINE_DEAD)
        return;
    if (line->kind->keep(line, rest, len))
        line->kind->want_writable(line);
    else
        line_die(line);
}

static void op_want_writable(struct conn *conn)
{
    struct line *line = conn->line;
    if (line->state != LINE_DEAD)
        line->kind->want_writable(line);
}

static void op_pause(struct conn *conn, bool paused)
{
    struct line *line = conn->line;
    if (line->state != LINE_DEAD)
        line->kind->read(line, !paused);
}

static void op_finish(struct conn *conn, int64_t within_ms)
{
    struct line *line = conn->line;
    line_end(line, within_ms + (line->kind->rest_ms ? line->kind->rest_ms(line) : 0));
}

static struct ip op_address(const struct conn *conn)
{
    const struct line *line = conn->line;
    return line->seats.ip;
}

const struct line_ops line_ops = {
    .address = op_address, .send = op_send, .keep = op_keep, .want_writable = op_want_writable, .pause = op_pause, .finish = op_finish,
};

/* ---- one line ---- */

void line_init(struct line *line, struct lines *lines, const struct line_kind *kind, struct socket socket, struct seats seats)
{
    *line = (struct line){ .lines = lines, .kind = kind, .socket = socket, .seats = seats };
    link_init(&line->link);
    list_add_last(&lines->open, &line->link);
    lines->n++;
}

void line_fini(struct line *line)
{
    seats_leave(&line->seats);
    link_remove(&line->link);
    line->lines->n--;
}

void line_log_opened(const struct line *line, const struct stream_request *request)
{
    char name[CONNECTION_TEXT];
    if (!line->conn || !log_enabled(LOG_DEBUG))
        return;
    conn_name(line->conn, name);
    log_debug(name, "opened transport=%s%s peer=%.*s", line->conn->protocol->name, line->socket.tls ? " tls" : "",
              (int)request->peer.len, request->peer.at);
}

/* ---- the edge's lines ---- */

void lines_init(struct lines *lines, struct edge *edge, struct ev_loop *loop)
{
    *lines = (struct lines){ .edge = edge, .loop = loop };
    link_init(&lines->open);
    link_init(&lines->polls);
    link_init(&lines->ending);
    link_init(&lines->dead);
}

static void kill_all(struct link *list)
{
    struct link *first;
    while ((first = list_first(list)))
        line_die(link_of(first, struct line, link));
}

/* There was time for a proper end before; what is left is cut. */
void lines_fini(struct lines *lines)
{
    kill_all(&lines->open);
    kill_all(&lines->ending);
    lines_bury(lines);
}

void lines_tick(struct lines *lines)
{
    int64_t now = clock_mono_ms(lines->edge->clock);
    list_each(l, following, &lines->ending) {
        struct line *line = link_of(l, struct line, link);
        if (line->deadline_ms <= now)
            line_cut(line);
    }
}

bool lines_bury(struct lines *lines)
{
    struct link *first;
    bool any = false;
    while ((first = list_first(&lines->dead))) {
        struct line *line = link_of(first, struct line, link);
        link_remove(first);
        line_lose_conn(line);
        line->kind->close(line);
        any = true;
    }
    return any;
}
