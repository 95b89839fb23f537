#include "tests/sim/line.h"
#include "tests/sim/sim.h"

#include <stdlib.h>

static size_t room(const struct line *line) { return line->net.len < line->cap ? line->cap - line->net.len : 0; }

static ssize_t line_send(struct conn *conn, const struct iovec *iov, int n)
{
    const struct line_ops *others = polls_line_ops(conn);
    if (others)
        return others->send(conn, iov, n);
    struct line *line = conn->line;
    size_t total = 0, took = 0;
    sim_check(line->sim, line->kept.len == 0, "send() while %zu kept bytes have not left", line->kept.len);
    sim_check(line->sim, !line->finishing && line->conn, "send() after finish()");
    if (line->dead || (!line->sim->settling && chance(line->sim, 2))) {
        line->dead = true;
        happened(dead_lines);
        return -1;
    }
    for (int i = 0; i < n; i++)
        total += iov[i].iov_len;
    sim_check(line->sim, total > 0, "send() of nothing");
    size_t take = total < room(line) ? total : room(line);
    if (take > 0 && !line->sim->settling && chance(line->sim, 50))
        take = dice(line->sim, take + 1);
    if (take > 0 && take < total)
        happened(partial_sends);
    for (int i = 0; i < n && took < take; i++) {
        size_t part = iov[i].iov_len < take - took ? iov[i].iov_len : take - took;
        buf_add(&line->net, iov[i].iov_base, part);
        took += part;
    }
    return (ssize_t)took;
}

static void line_keep(struct conn *conn, const void *rest, size_t len)
{
    const struct line_ops *others = polls_line_ops(conn);
    if (others) {
        others->keep(conn, rest, len);
        return;
    }
    struct line *line = conn->line;
    sim_check(line->sim, !line->finishing, "keep() after finish()");
    buf_add(&line->kept, rest, len);
    happened(kept);
}

static void line_want_writable(struct conn *conn)
{
    const struct line_ops *others = polls_line_ops(conn);
    if (others)
        others->want_writable(conn);
    else
        ((struct line *)conn->line)->wants_writable = true;
}

static void line_pause(struct conn *conn, bool paused)
{
    const struct line_ops *others = polls_line_ops(conn);
    if (others) {
        others->pause(conn, paused);
        return;
    }
    ((struct line *)conn->line)->paused = paused;
    if (paused)
        happened(pauses);
}

static void line_finish(struct conn *conn, int64_t within_ms)
{
    const struct line_ops *others = polls_line_ops(conn);
    if (others) {
        others->finish(conn, within_ms);
        return;
    }
    struct line *line = conn->line;
    sim_check(line->sim, !line->finishing, "finish() twice");
    sim_check(line->sim, within_ms > 0 && within_ms < 3600000, "finish() within %ld ms", within_ms);
    line->finishing = true;
    line->was_live = conn->was_live;
    line->kill_ms = line->sim->mono_ms + within_ms;
}

void line_ops_init(struct line_ops *ops, size_t max_run)
{
    *ops = (struct line_ops){ line_send, line_keep, line_want_writable, line_pause, line_finish, NULL, max_run };
}

struct line *line_new(struct sim *sim, int edge, size_t cap)
{
    struct line *line = calloc(1, sizeof *line);
    *line = (struct line){ .sim = sim, .edge = edge, .cap = cap, .has_listener = true };
    return line;
}

static void free_if_done(struct line *line)
{
    if (line->conn || line->has_listener)
        return;
    buf_fini(&line->kept);
    buf_fini(&line->net);
    free(line);
}

void line_cut(struct line *line)
{
    struct conn *conn = line->conn;
    line->conn = NULL;
    buf_reset(&line->kept);
    if (conn)
        conn_gone(conn);
    free_if_done(line);
}

void line_let_go(struct line *line)
{
    line->has_listener = false;
    line_cut(line);
}

bool line_at_end(const struct line *line) { return !line->conn && line->net.len == 0; }

static void move_kept(struct line *line)
{
    size_t n = line->kept.len < room(line) ? line->kept.len : room(line);
    buf_add(&line->net, line->kept.at, n);
    buf_drop_front(&line->kept, n);
    if (n > 0)
        line->wants_writable = true;     /* conn.h: conn_on_writable comes after what was kept has left */
}

void line_move(struct line *line)
{
    if (!line->conn)
        return;
    if (line->dead) {
        line_cut(line);
        return;
    }
    if (line->kept.len > 0)
        move_kept(line);
    if (line->finishing && (line->kept.len == 0 || line->sim->mono_ms >= line->kill_ms)) {
        line_cut(line);
        return;
    }
    if (line->wants_writable && line->kept.len == 0 && room(line) > 0) {
        line->wants_writable = false;
        conn_on_writable(line->conn);
    }
}
