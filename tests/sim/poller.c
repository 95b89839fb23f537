#define _GNU_SOURCE     /* memmem */
#include "tests/sim/poller.h"

#include "hub/access/access.h"
#include "hub/access/cors.h"
#include "hub/base/err.h"
#include "hub/metrics.h"
#include "tests/sim/lag.h"
#include "tests/sim/object.h"
#include "tests/sim/sim.h"
#include "transports/line/poll.h"
#include "transports/request/stream_request.h"

#include <errno.h>
#include <ev.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { POLLERS_MAX = 3 };

struct poller {
    struct sim      *sim;
    int              number;
    uint8_t          wanted, client;
    bool             has_position;
    struct position  stored;             /* what the next poll asks with */
    int64_t          come_back_ms;
    /* this poll */
    int              fd;                 /* -1: none */
    bool             resumes, etag;
    struct position  asked;
    struct beginning beginning;          /* without a position */
    uint64_t         head_when_asked;
    uint64_t         edge_had;           /* its edge had seen all up to here by then */
    struct buf       in;
};

struct polls {
    struct sim    *sim;
    struct poller  pollers[POLLERS_MAX];
    int            n;
    struct edge_polls { struct ev_loop *loop; struct lines lines; } edges[EDGES_MAX];
};

#define check(poller, condition, ...) do { if (!(condition)) poller_fail(poller, __VA_ARGS__); } while (0)
static _Noreturn void poller_fail(const struct poller *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static _Noreturn void poller_fail(const struct poller *p, const char *format, ...)
{
    char text[500];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sim_fail(p->sim, "poller %d (asked with %lu.%lu, since=%s): %s", p->number, p->asked.epoch, p->asked.seq, p->beginning.text, text);
}

const struct line_ops *polls_line_ops(const struct conn *conn)
{
    return conn->protocol->gauge == METRIC_conns_poll ? &line_ops : NULL;
}

/* ---- asking ---- */

static void choose_position(struct poller *p)
{
    struct sim *sim = p->sim;
    p->resumes = p->has_position;
    p->asked = p->stored;
    if (p->has_position && chance(sim, 30) && !sim->settling) {
        p->resumes = false;
    } else if (chance(sim, 20) && !sim->settling) {
        p->resumes = true;
        p->asked = (struct position){ chance(sim, 500) ? sim->model.epoch : 0, sim->model.next + dice(sim, 5) };
    } else if (p->has_position && chance(sim, 60) && !sim->settling) {
        p->asked.seq -= dice(sim, p->asked.seq < 20 ? p->asked.seq + 1 : 20);
    }
    p->beginning = !p->resumes && chance(sim, 600) ? beginning_choose(sim) : (struct beginning){ 0 };
    p->head_when_asked = sim->model.head;
}

static void open_poll(struct poller *p, struct polls *polls, int edge, int fd)
{
    struct sim *sim = p->sim;
    struct slice channels[CHANNELS];
    char position[POSITION_TEXT], etag[POSITION_TEXT + 2];
    const struct credentials credentials = { .grants = UINT8_MAX, .expires_ms = INT64_MAX };
    struct principal *principal = credentials_principal(sim, &credentials);
    struct stream_request request = { .channels = channels, .has_position = p->resumes, .identified = true, .principal = principal,
                                      .since = slice_of(p->beginning.text), .client = slice_of(client_names[p->client]) };
    static const char *const timeouts[] = { "0", "1", "3", "60", "" };
    for (int c = 0; c < CHANNELS; c++)
        if (p->wanted & 1 << c)
            channels[request.n_channels++] = slice_of(channel_names[c]);
    request.position = slice(position, position_print(position, p->asked));
    if (p->resumes && p->asked.epoch == 0)
        request.position = SLICE("no position at all");
    request.timeout = slice_of(timeouts[dice(sim, sizeof timeouts / sizeof *timeouts)]);
    p->etag = p->resumes && chance(sim, 400);
    int n = snprintf(etag, sizeof etag, "\"%.*s\"", (int)request.position.len, request.position.at);
    check(p, poll_check(sim->edges[edge], &request) == 0, "a poll is refused");
    poll_open(&polls->edges[edge].lines, (struct socket){ .fd = fd }, (struct seats){ 0 }, &request, &(struct cors){ 0 },
              p->etag ? slice(etag, (size_t)n) : SLICE(""));
    principal_unref(principal);
}

static void ask(struct poller *p, struct polls *polls)
{
    struct sim *sim = p->sim;
    int edge = (int)dice(sim, (uint64_t)sim->n_edges), pair[2], room = (int)one_of(sim, 1, 20000, 200000);
    check(p, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0, "no sockets: %d", errno);
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    choose_position(p);
    p->edge_had = sim->edges[edge]->head.epoch == sim->model.epoch ? sim->edges[edge]->head.seq : 0;
    p->fd = pair[0];
    sim_trace(sim, "poller %d: polls edge %d for %x, %s %lu.%lu %s", p->number, edge, p->wanted, p->resumes ? "after" : "without", p->asked.epoch,
              p->asked.seq, p->beginning.text);
    open_poll(p, polls, edge, pair[1]);
    happened(polls);
}

static void hang_up(struct poller *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    buf_reset(&p->in);
    p->come_back_ms = p->sim->mono_ms + (int64_t)dice(p->sim, 200);
}

/* ---- the answer ---- */

/* What has come so far, and up to where which channel is accounted for. */
struct reading {
    struct poller  *poller;
    struct position last;                /* of the messages; seq 0: none */
    uint64_t        first;               /* of the messages; 0: none */
    uint64_t        from[CHANNELS];
    bool            skipped;             /* a lag rule may have left something out */
    bool            anew;                /* all that is kept: the position was foreign */
    uint8_t         all_there;           /* channels of which nothing explains that something is missing */
};

static void account(const struct reading *reading, int c, uint64_t upto)
{
    const struct poller *p = reading->poller;
    const struct model *model = &p->sim->model;
    const struct model_msg *m = reading->all_there & 1 << c ? model_next(model, c, p->client, reading->from[c], upto) : NULL;
    check(p, !m, "message %lu of %s is not in the answer, which reaches %lu", m->seq, channel_names[c], upto);
}

/* When it was asked; until the hub looked the number may have been given. */
static bool is_foreign(const struct poller *p)
{
    return p->resumes && (p->asked.epoch != p->sim->model.epoch || p->asked.seq > p->head_when_asked);
}

/* Everything up to here it has, or does not want. */
static uint64_t had(const struct poller *p)
{
    if (p->resumes)
        return p->asked.epoch == p->sim->model.epoch ? p->asked.seq : 0;
    return p->beginning.from == FETCH_NOW ? p->edge_had : 0;
}

static int on_message_text(void *arg, struct slice text)
{
    struct reading *reading = arg;
    struct poller *p = reading->poller;
    const struct model *model = &p->sim->model;
    struct object object;
    check(p, object_init(&object, text), "a message is %.*s", (int)text.len, text.at);
    struct position at = position_parse(slice_of(object_string(&object, "id")));
    const struct model_msg *m = at.epoch == model->epoch ? model_find(model, at.seq) : NULL;
    check(p, m && m->fate == DONE, "message %lu.%lu was never acknowledged", at.epoch, at.seq);
    check(p, m->tag == object_tag(&object) && m->channel == object_channel(&object), "message %lu is not what was published", at.seq);
    check(p, p->wanted & 1 << m->channel, "message %lu of %s, which was not asked for", at.seq, channel_names[m->channel]);
    check(p, !model_excludes(m, p->client), "message %lu is not for client %s", at.seq, client_names[p->client]);
    check(p, at.seq > reading->last.seq, "message %lu comes after %lu", at.seq, reading->last.seq);
    check(p, reading->anew || at.seq > had(p), "message %lu of %s comes again", at.seq, channel_names[m->channel]);
    account(reading, m->channel, at.seq - 1);
    if (reading->from[m->channel] < at.seq)
        reading->from[m->channel] = at.seq;
    reading->last = at;
    if (!reading->first)
        reading->first = at.seq;
    object_fini(&object);
    happened(polled);
    return 0;
}

/* Channels whose rule keeps messages, and did so all the time. */
static uint8_t keeping(const struct poller *p)
{
    uint8_t mask = 0;
    for (int c = 0; c < CHANNELS && !p->sim->rules.turns; c++)
        if (p->wanted & 1 << c && model_keeps(&p->sim->model, c))
            mask |= (uint8_t)(1 << c);
    return mask;
}

/* A gap excuses what history has given up; where nothing is kept, or a lag rule skips, whatever is missing. */
static void read_gap(struct reading *reading, const char *reason)
{
    const struct poller *p = reading->poller;
    const struct sim *sim = p->sim;
    const struct model *model = &sim->model;
    bool conflated = !strcmp(reason, "conflated");
    bool skips = lag_says(sim, LAG_SKIP) || conflated, is_right = skips || keeping(p) != p->wanted;
    check(p, !conflated || lag_knows(sim, LAG_LATEST), "a gap of reason conflated, which no rule says");
    if (!strcmp(reason, "epoch")) {
        check(p, p->resumes && is_foreign(p), "a gap of reason epoch");
        check(p, keeping(p) || sim->rules.turns, "a gap on resume of channels without history");
        memset(reading->from, 0, sizeof reading->from);
        reading->anew = true;
    }
    for (int c = 0; c < CHANNELS; c++) {
        is_right |= p->wanted & 1 << c && model_may_gap(model, c, (struct position){ model->epoch, is_foreign(p) ? 0 : had(p) });
        if (reading->from[c] < model->channels[c].dropped)
            reading->from[c] = model->channels[c].dropped;
    }
    check(p, !strcmp(reason, "epoch") || is_right, "a gap of which nothing was dropped");
    if (skips || lag_knows(sim, LAG_LATEST))      /* of several reasons the worst is told */
        reading->all_there = 0;
    reading->skipped = skips;
    happened(polled_gap);
}

/* Everything of the channel that came after this has to be in the answer. For a count and `last` that is not known beforehand. */
static uint64_t beginning_of(const struct poller *p, int c)
{
    const struct model *model = &p->sim->model;
    uint64_t from = model->channels[c].dropped;
    if (p->resumes || p->beginning.from == FETCH_NOW)
        return had(p);
    for (size_t i = 0; i < model->n && p->beginning.from == FETCH_TIME; i++)
        if (model->msgs[i].channel == c && model->msgs[i].time_ms < p->beginning.since.time_ms && model->msgs[i].seq > from)
            from = model->msgs[i].seq;
    return from;
}

static struct reading begin_reading(struct poller *p, const char *gap)
{
    const struct model *model = &p->sim->model;
    bool known = p->resumes || p->beginning.from == FETCH_ALL || p->beginning.from == FETCH_TIME;
    struct reading reading = { .poller = p, .all_there = known ? keeping(p) : 0, .anew = !keeping(p) && is_foreign(p) };
    for (int c = 0; c < CHANNELS; c++)
        reading.from[c] = beginning_of(p, c);
    if (*gap)
        read_gap(&reading, gap);
    else
        check(p, !p->resumes || !keeping(p) || !model_is_foreign(model, p->asked), "no gap, but the position is foreign");
    return reading;
}

/* since=last. An answer that ended early may stop before the newest, which is then behind its position. */
static void check_newest(const struct reading *reading, int c, uint64_t upto)
{
    const struct poller *p = reading->poller;
    const struct model_msg *newest = NULL;
    for (size_t i = p->sim->model.n; i-- > 0 && !newest;)
        if (p->sim->model.msgs[i].channel == c && p->sim->model.msgs[i].fate == DONE)
            newest = &p->sim->model.msgs[i];
    if (newest && newest->seq <= upto && newest->kept && !model_excludes(newest, p->client) && p->beginning.from == FETCH_LATEST && !reading->skipped)
        check(p, reading->from[c] >= newest->seq, "message %lu, the newest of %s, is not in the answer", newest->seq, channel_names[c]);
}

static void take_messages(struct poller *p, struct slice body)
{
    struct object object, gap = { 0 };
    char reason[16] = "";
    check(p, object_init(&object, body), "the answer is no object: %.*s", (int)body.len, body.at);
    struct slice gap_text = object_get(&object, "gap");
    if (gap_text.len > 0 && object_init(&gap, gap_text)) {
        snprintf(reason, sizeof reason, "%s", object_string(&gap, "reason"));
        object_fini(&gap);
    }
    struct reading reading = begin_reading(p, reason);
    json_array_each(object_get(&object, "messages"), on_message_text, &reading);
    struct position at = position_parse(slice_of(object_string(&object, "position")));
    sim_trace(p->sim, "poller %d: up to %lu, last %lu, gap '%s'", p->number, at.seq, reading.last.seq, reason);
    const struct model *model = &p->sim->model;
    check(p, at.epoch == model->epoch && at.seq <= model->head, "the answer's position is %lu.%lu, the head %lu", at.epoch, at.seq, model->head);
    check(p, at.seq >= reading.last.seq, "the position %lu is before the last message", at.seq);
    check(p, !p->resumes || is_foreign(p) || !keeping(p) || at.seq >= p->asked.seq, "the position goes back to %lu", at.seq);
    for (int c = 0; c < CHANNELS; c++)
        if (p->wanted & 1 << c) {
            account(&reading, c, at.seq);
            check_newest(&reading, c, at.seq);
        }
    p->stored = at;
    p->has_position = true;
    object_fini(&object);
}

static void take_not_modified(const struct poller *p)
{
    check(p, p->etag && !model_is_foreign(&p->sim->model, p->asked), "not modified");
    happened(polled_same);
}

static void take_problem(struct poller *p, int status, struct slice body)
{
    struct object object;
    check(p, object_init(&object, body), "a problem is no object: %.*s", (int)body.len, body.at);
    const char *code = object_string(&object, "code");
    bool slow = !strcmp(code, "slow_consumer") || !strcmp(code, "busy");
    check(p, (!strcmp(code, "draining") && p->sim->draining) || (slow && !p->sim->settling), "answered %d %s", status, code);
    object_fini(&object);
}

/* True: the answer was complete. */
static bool take_answer(struct poller *p)
{
    const char *end = p->in.len ? memmem(p->in.at, p->in.len, "\r\n\r\n", 4) : NULL, *length;
    int status;
    if (!end)
        return false;
    size_t head = (size_t)(end - p->in.at) + 4;
    check(p, sscanf(p->in.at, "HTTP/1.1 %d ", &status) == 1, "the answer begins %.*s", (int)head, p->in.at);
    length = memmem(p->in.at, head, "Content-Length: ", 16);
    size_t body = length ? (size_t)atol(length + 16) : 0;
    check(p, p->in.len <= head + body, "bytes behind the answer: %.*s", (int)(p->in.len - head - body), p->in.at + head + body);
    if (p->in.len < head + body)
        return false;
    sim_trace(p->sim, "poller %d: answered %d, %zu bytes", p->number, status, body);
    if (status == 200)
        take_messages(p, slice(p->in.at + head, body));
    else if (status == 304)
        take_not_modified(p);
    else
        take_problem(p, status, slice(p->in.at + head, body));
    return true;
}

/* ---- reading ---- */

/* At most so many bytes. */
static void read_some(struct poller *p, size_t most)
{
    ssize_t n = 1;
    while (most > 0 && n > 0) {
        size_t room = most < 65536 ? most : 65536;
        n = recv(p->fd, buf_room(&p->in, room), room, 0);
        if (n > 0) {
            buf_advance(&p->in, (size_t)n);
            most -= (size_t)n;
            *buf_room(&p->in, 1) = '\0';      /* its head is read as text */
        }
    }
    if (take_answer(p))
        hang_up(p);
    else if (n == 0 || (n < 0 && errno != EAGAIN))
        sim_trace(p->sim, "poller %d: the answer ends after %zu bytes", p->number, p->in.len);
    if (p->fd >= 0 && (n == 0 || (n < 0 && errno != EAGAIN)))
        hang_up(p);      /* a kill, or a line that was cut: the same is asked for again */
}

void polls_act(struct polls *polls, int number)
{
    struct poller *p = &polls->pollers[number];
    struct sim *sim = p->sim;
    if (p->fd < 0) {
        if (sim->mono_ms >= p->come_back_ms && !sim->draining)
            ask(p, polls);
    } else if (chance(sim, 15)) {
        sim_trace(sim, "poller %d: cuts", p->number);
        hang_up(p);
    } else {
        read_some(p, chance(sim, 100) ? dice(sim, 3000) : SIZE_MAX);
    }
}

void polls_settle_all(struct polls *polls)
{
    for (int i = 0; i < polls->n; i++)
        if (polls->pollers[i].fd >= 0)
            read_some(&polls->pollers[i], SIZE_MAX);
        else if (!polls->sim->draining)
            ask(&polls->pollers[i], polls);
}

/* What waits with a position of its own making begins again with the one it was given. */
void polls_begin_rest(struct polls *polls)
{
    for (int i = 0; i < polls->n; i++)
        hang_up(&polls->pollers[i]);
}

bool polls_are_quiet(const struct polls *polls)
{
    for (int i = 0; i < polls->n; i++)
        if (polls->pollers[i].in.len > 0)
            return false;
    return true;
}

void polls_at_rest(const struct polls *polls)
{
    const struct model *model = &polls->sim->model;
    for (int i = 0; i < polls->n; i++) {
        const struct poller *p = &polls->pollers[i];
        for (int c = 0; c < CHANNELS && p->has_position; c++)
            check(p, !(keeping(p) & 1 << c) || !model_next(model, c, p->client, p->stored.seq, model->head), "does not know all of %s, its position is %lu.%lu",
                  channel_names[c], p->stored.epoch, p->stored.seq);
    }
}

/* ---- the edges' side ---- */

void polls_before_flush(struct polls *polls, int e)
{
    if (polls->edges[e].lines.n > 0)
        ev_run(polls->edges[e].loop, EVRUN_NOWAIT);
}

bool polls_after_flush(struct polls *polls, int e)
{
    bool settled = polls_settle(&polls->edges[e].lines), buried = lines_bury(&polls->edges[e].lines);
    return settled || buried;
}

void polls_tick(struct polls *polls, int e) { lines_tick(&polls->edges[e].lines); }

void polls_open(struct polls *polls)
{
    for (int e = 0; e < polls->sim->n_edges; e++)
        lines_init(&polls->edges[e].lines, polls->sim->edges[e], polls->edges[e].loop);
}

void polls_lost(struct polls *polls)
{
    struct sim *sim = polls->sim;
    for (int i = 0; i < polls->n; i++) {
        struct poller *p = &polls->pollers[i];
        if (p->fd >= 0)
            read_some(p, chance(sim, 500) ? dice(sim, 3000) : 0);
        hang_up(p);
    }
    for (int e = 0; e < sim->n_edges; e++)
        lines_fini(&polls->edges[e].lines);
}

int polls_count(const struct polls *polls) { return polls->n; }

struct polls *polls_new(struct sim *sim)
{
    struct polls *polls = calloc(1, sizeof *polls);
    polls->sim = sim;
    polls->n = (int)one_of(sim, 0, 0, 1, POLLERS_MAX);
    for (int i = 0; i < polls->n; i++) {
        uint8_t wanted = (uint8_t)(1 + dice(sim, (1 << CHANNELS) - 1));
        polls->pollers[i] = (struct poller){ .sim = sim, .number = i, .fd = -1, .wanted = chance(sim, 300) ? (uint8_t)(1 << dice(sim, CHANNELS)) : wanted,
                                             .client = (uint8_t)dice(sim, CLIENTS + 1) };
    }
    for (int e = 0; e < sim->n_edges; e++) {
        polls->edges[e].loop = polls->n ? ev_loop_new(EVFLAG_AUTO) : NULL;
        lines_init(&polls->edges[e].lines, NULL, polls->edges[e].loop);
    }
    return polls;
}

void polls_free(struct polls *polls)
{
    for (int i = 0; i < polls->n; i++)
        buf_fini(&polls->pollers[i].in);
    for (int e = 0; e < polls->sim->n_edges; e++)
        if (polls->edges[e].loop)
            ev_loop_destroy(polls->edges[e].loop);
    free(polls);
}
