#include "transports/newcomer.h"

#include "hub/access/authority.h"
#include "hub/access/forwarded.h"
#include "hub/base/buf.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/config/config.h"
#include "hub/memory.h"
#include "hub/metrics.h"
#include "transports/edge/edge.h"
#include "transports/files/files.h"
#include "transports/line/direct.h"
#include "transports/line/lws.h"
#include "transports/line/poll.h"
#include "transports/line/tunnel.h"
#include "transports/port/socket.h"
#include "transports/protocol/answer.h"
#include "transports/protocol/keys_wait.h"
#include "transports/protocol/sse.h"
#include "transports/protocol/stream.h"
#include "transports/request/head.h"
#include "transports/request/http_head.h"
#include "transports/request/stream_request.h"

#include <ev.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_SIZE = 16 * 1024, LINGER_MS = 2000 };
enum newcomer_state { READING, WAITING, ANSWERING, LINGERING };

struct newcomer {
    struct link       link;
    struct reception *reception;
    struct seats      seats;
    struct seat_table *seat_table;
    struct socket     socket;
    ev_io             io;
    ev_timer          deadline;
    struct http_head  head;          /* READING, WAITING */
    struct keys_wait  wait;
    struct buf        early;         /* WAITING: what was sent behind the head */
    struct buf        out;           /* the answer, or the head of the stream */
    struct slice      file;          /* what follows `out`: not copied, so a crowd that asks for it costs nothing */
    size_t            sent;          /* ANSWERING: bytes of `out` and `file` that have left */
    uint8_t           state;
    bool              admitted;      /* has passed the gate */
    char              peer[64];
};

/* ---- the end ---- */

static void newcomer_free(struct newcomer *newcomer)
{
    ev_io_stop(newcomer->reception->loop, &newcomer->io);
    ev_timer_stop(newcomer->reception->loop, &newcomer->deadline);
    keys_wait_end(newcomer->reception->edge, &newcomer->wait);
    http_head_fini(&newcomer->head);
    buf_fini(&newcomer->early);
    buf_fini(&newcomer->out);
    link_remove(&newcomer->link);
    newcomer->reception->n--;
    free(newcomer);
}

static void newcomer_close(struct newcomer *newcomer)
{
    socket_close(&newcomer->socket);
    seats_leave(&newcomer->seats);
    newcomer_free(newcomer);
}

/* ---- answering ---- */

static void watch(struct newcomer *newcomer, int events)
{
    struct ev_loop *loop = newcomer->reception->loop;
    int fd = newcomer->io.fd;
    if (ev_is_active(&newcomer->io) && (newcomer->io.events & (EV_READ | EV_WRITE)) == events)
        return;
    ev_io_stop(loop, &newcomer->io);
    ev_io_set(&newcomer->io, fd, events);
    ev_io_start(loop, &newcomer->io);
}

static void wait_for(struct newcomer *newcomer, int events, int64_t within_ms)
{
    struct ev_loop *loop = newcomer->reception->loop;
    watch(newcomer, events);
    ev_timer_stop(loop, &newcomer->deadline);
    ev_timer_set(&newcomer->deadline, (double)within_ms / 1000.0, 0.);
    ev_timer_start(loop, &newcomer->deadline);
}

static void linger(struct newcomer *newcomer)
{
    newcomer->state = LINGERING;
    buf_fini(&newcomer->out);
    if (socket_shut(&newcomer->socket))
        wait_for(newcomer, EV_READ, LINGER_MS);
    else
        newcomer_close(newcomer);
}

static void send_answer(struct newcomer *newcomer)
{
    struct socket *socket = &newcomer->socket;
    size_t of_out = newcomer->sent < newcomer->out.len ? newcomer->sent : newcomer->out.len, of_file = newcomer->sent - of_out;
    struct iovec parts[] = {
        { newcomer->out.at + of_out, newcomer->out.len - of_out },
        { (char *)newcomer->file.at + of_file, newcomer->file.len - of_file },
    };
    int err = socket_flush(socket);
    ssize_t sent = err ? 0 : socket_write(socket, parts, 2);
    if (sent < 0 || err == SOCKET_BROKEN) {
        newcomer_close(newcomer);
        return;
    }
    newcomer->sent += (size_t)sent;
    if (newcomer->sent == newcomer->out.len + newcomer->file.len && !socket_held(socket))
        linger(newcomer);
}

/* What is in newcomer->out is the answer. */
static void answer(struct newcomer *newcomer)
{
    if (newcomer->out.failed || newcomer->state > WAITING) {
        newcomer_close(newcomer);
        return;
    }
    newcomer->state = ANSWERING;
    wait_for(newcomer, EV_WRITE, newcomer->reception->edge->config->limits_handshake_timeout_ms);
    send_answer(newcomer);
}

static const struct cors nobody;     /* who asks is not known */

static void refuse(struct newcomer *newcomer, int err, const struct cors *cors, bool head_only)
{
    log_debug(newcomer->peer, "request refused: %s", err_code(err));
    answer_problem(&newcomer->out, err, cors, head_only);
    answer(newcomer);
}

/* ---- the places of the public port ---- */

/* One request that has come: whose it is, what it says, and what was sent behind its head. */
struct visit {
    struct newcomer *newcomer;
    struct head      head;
    struct position  after;      /* where it comes back from, when it `resumes` */
    bool             resumes;
    struct cors      cors;
    const struct place *place;
    struct slice     early;
    int              otherwise;  /* how a token of an unknown key counts; 0: it may wait for it */
};

/* The socket leaves the newcomer, which ends when its request has been used. */
static struct socket let_in(struct newcomer *newcomer)
{
    ev_io_stop(newcomer->reception->loop, &newcomer->io);
    return newcomer->socket;
}

/* Behind a proxy the address was not counted when its socket was accepted; the proxy's own never is. */
static bool has_seat(struct newcomer *newcomer)
{
    const struct config *config = newcomer->reception->edge->config;
    struct proxies proxies = proxies_public(config);
    return newcomer->seats.address || proxies_trust(&proxies, newcomer->seats.ip) ||
           seats_take_address(newcomer->seat_table, config, newcomer->seats.ip, &newcomer->seats);
}

/* Who comes through a proxy is asked here what others are asked when they are accepted. */
static bool is_admitted(struct newcomer *newcomer)
{
    const struct edge *edge = newcomer->reception->edge;
    newcomer->admitted = newcomer->admitted || crowd_admit(edge->crowd, edge->config, clock_mono_ms(edge->clock));
    return newcomer->admitted;
}

static int why_not_now(struct newcomer *newcomer)
{
    bool enough = memory_level() == MEMORY_ENOUGH;
    if (enough && has_seat(newcomer))
        return is_admitted(newcomer) ? 0 : ERR_BUSY;
    metric_add(enough ? METRIC_turned_away : METRIC_away_memory, 1);
    return enough ? ERR_TOO_MANY_CONNECTIONS : ERR_BUSY;
}

/* Not now. An EventSource would take a 503 or 429 for final, so a stream begins for it and ends with hub.bye: it comes back after
 * `least_ms` at least. */
static void put_off_for(struct visit *visit, int err, bool is_stream, int64_t least_ms)
{
    struct newcomer *newcomer = visit->newcomer;
    const struct edge *edge = newcomer->reception->edge;
    int64_t retry_ms = least_ms + crowd_put_off_ms(edge->crowd, edge->config, ++newcomer->reception->refused);
    log_debug(newcomer->peer, "told to come back: %s", err_code(err));
    if (is_stream)
        answer_bye(&newcomer->out, err, retry_ms, visit->resumes ? &visit->after : NULL, &visit->cors);
    else
        answer_later(&newcomer->out, err, retry_ms, &visit->cors);
    answer(newcomer);
}

static void put_off(struct visit *visit, int err, bool is_stream) { put_off_for(visit, err, is_stream, 0); }

/* limits.memory, limits.connections_per_address, accept.per_second */
static bool is_put_off(struct visit *visit, bool is_stream)
{
    int err = why_not_now(visit->newcomer);
    if (err)
        put_off(visit, err, is_stream);
    return err;
}

/* Too many wrong keys and tokens came from this address: nothing from there is looked at for a while. */
static bool is_kept_out(struct visit *visit, const struct stream_request *request)
{
    struct newcomer *newcomer = visit->newcomer;
    const struct edge *edge = newcomer->reception->edge;
    struct rate_verdict verdict;
    if ((!request->key.len && !request->cookie.len) ||
        !rates_check_login(authority_rates(edge->authority), edge->config, request->ip, clock_mono_ms(edge->clock), &verdict))
        return false;
    metric_rate_limited(verdict.index);
    if (visit->head.wants_stream) {
        put_off_for(visit, ERR_RATE_LIMITED, true, verdict.retry_s * 1000);
        return true;
    }
    log_debug(newcomer->peer, "request refused: %s", err_code(ERR_RATE_LIMITED));
    answer_rate_limited(&newcomer->out, &verdict, &visit->cors);
    answer(newcomer);
    return true;
}

static void enter_sse(struct visit *visit, const struct stream_request *request)
{
    struct newcomer *newcomer = visit->newcomer;
    struct reception *reception = newcomer->reception;
    int err = sse_check(reception->edge, request);
    if (err == ERR_RATE_LIMITED) {
        put_off(visit, err, true);
        return;
    }
    if (err) {
        refuse(newcomer, err, &visit->cors, false);
        return;
    }
    if (is_put_off(visit, true))
        return;
    answer_stream(&newcomer->out, &visit->cors);
    if (newcomer->out.failed) {
        newcomer_close(newcomer);
        return;
    }
    direct_sse(reception->lines, let_in(newcomer), newcomer->seats, request, buf_slice(&newcomer->out));
    newcomer_free(newcomer);
}

/* Whoever polls sees a status, so what is to come back is told by one. */
static void enter_poll(struct visit *visit, const struct stream_request *request)
{
    struct newcomer *newcomer = visit->newcomer;
    struct reception *reception = newcomer->reception;
    int err = poll_check(reception->edge, request);
    if (err) {
        refuse(newcomer, err, &visit->cors, false);
        return;
    }
    if (is_put_off(visit, false))
        return;
    poll_open(reception->lines, let_in(newcomer), newcomer->seats, request, &visit->cors, visit->head.if_none_match);
    newcomer_free(newcomer);
}

/* RFC 6455 §4.2.1: the key is 16 bytes in base64. */
static bool key_is_sound(struct slice key)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (key.len != 24 || memcmp(key.at + 22, "==", 2))
        return false;
    for (size_t i = 0; i < 22; i++)
        if (!key.at[i] || !strchr(digits, key.at[i]))
            return false;
    return true;
}

static void enter_ws(struct visit *visit, const struct stream_request *request)
{
    struct newcomer *newcomer = visit->newcomer;
    const struct head *head = &visit->head;
    if (!head->upgrade_websocket || !head->ws_sound || !slice_is(head->ws_version, SLICE("13")) || !key_is_sound(head->ws_key) ||
        (head->offers_protocols && !head->offers_carillon)) {
        refuse(newcomer, ERR_BAD_REQUEST, &visit->cors, false);
        return;
    }
    if (is_put_off(visit, false))
        return;
    struct reception *reception = newcomer->reception;
    if (newcomer->socket.tls)
        tunnel_ws(reception->lws, reception->lines, let_in(newcomer), newcomer->seats, request, head, visit->early);
    else
        lws_side_ws(reception->lws, let_in(newcomer), newcomer->seats, request, head, visit->early);
    newcomer_free(newcomer);
}

static void show_file(struct visit *visit, const struct stream_request *request);

static const struct place {
    struct slice path;
    void       (*enter)(struct visit *visit, const struct stream_request *request);
    enum { FOR_ANYBODY, FOR_STREAMS, FOR_POLLS, FOR_WEBSOCKETS } kind;     /* of all but the first it is known who opens it */
    bool         head_too;       /* knows HEAD beside GET */
    bool         any_page;       /* for pages of every origin */
    enum file_name file;         /* of show_file */
} places[] = {
    { .path = SLICE("/sse"), .enter = enter_sse, .kind = FOR_STREAMS },
    { .path = SLICE("/events"), .enter = enter_sse, .kind = FOR_STREAMS },
    { .path = SLICE("/poll"), .enter = enter_poll, .kind = FOR_POLLS },
    { .path = SLICE("/ws"), .enter = enter_ws, .kind = FOR_WEBSOCKETS },
#define FILE(name, its_path, source, type, is_dev_only, is_for_any_page, headers) \
    { .path = SLICE(its_path), .enter = show_file, .kind = FOR_ANYBODY, .head_too = true, .any_page = is_for_any_page, .file = FILE_##name },
#include "transports/files/files.def"
#undef FILE
};

static void show_file(struct visit *visit, const struct stream_request *request)
{
    struct newcomer *newcomer = visit->newcomer;
    const struct file *file = &newcomer->reception->files->of[visit->place->file];
    bool head_only = visit->head.method == HEAD_METHOD_HEAD;
    (void)request;
    if (file->dev_only && !newcomer->reception->edge->config->dev) {
        refuse(newcomer, ERR_NOT_FOUND, &visit->cors, head_only);
        return;
    }
    bool is_known = file_is_named(file, visit->head.if_none_match);
    answer_file(&newcomer->out, file, is_known, &visit->cors);
    if (!is_known && !head_only)
        newcomer->file = file->bytes;
    answer(newcomer);
}

/* With nothing there it has no `enter`. */
static const struct place *place_find(struct slice path)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (slice_is(path, places[i].path))
            return &places[i];
    static const struct place nowhere;
    return &nowhere;
}

static struct cors judge_page(const struct newcomer *newcomer, struct head *head)
{
    struct cors cors = cors_judge(cors_port_public(newcomer->reception->edge->config), head->origin, head->host, newcomer->socket.tls);
    if (!cors_cookie_counts(&cors, head->fetch_site))
        head->cookie = SLICE("");
    return cors;
}

/* Whose request it is, when trusted proxies pass it on. */
static void find_client(struct newcomer *newcomer)
{
    struct proxies proxies = proxies_public(newcomer->reception->edge->config);
    struct ip client = http_head_client(&newcomer->head, &proxies, newcomer->seats.ip);
    if (ip_is(client, newcomer->seats.ip))
        return;
    seats_leave_address(&newcomer->seats);      /* counted before the settings trusted the proxy */
    newcomer->seats.ip = client;
    ip_print(client, newcomer->peer);
}

/* With --dev it is told: a browser shows whoever builds a page only that it does not connect. */
static int turn_away(const struct visit *visit)
{
    struct slice origin = visit->cors.origin;
    if (visit->newcomer->reception->edge->config->dev)
        log_warn("public", "a page of %.*s is turned away: name it in public.origins%s", (int)(origin.len < 200 ? origin.len : 200), origin.at,
                 slice_is(origin, SLICE("null")) ? " (null is a page opened from a file, or framed by any site)" : "");
    return ERR_BAD_ORIGIN;
}

static int check_visit(const struct visit *visit)
{
    const struct place *place = visit->place;
    const struct head *head = &visit->head;
    if (head->has_body)
        return ERR_NO_BODY_HERE;
    if (visit->cors.kind == ORIGIN_FOREIGN)
        return turn_away(visit);
    if (!place->enter)
        return ERR_NOT_FOUND;
    if (head->method != HEAD_METHOD_GET && head->method != HEAD_METHOD_OPTIONS && !(place->head_too && head->method == HEAD_METHOD_HEAD))
        return ERR_METHOD_NOT_ALLOWED;
    return 0;
}

static void refuse_visit(struct visit *visit, int err)
{
    struct newcomer *newcomer = visit->newcomer;
    bool head_only = visit->head.method == HEAD_METHOD_HEAD;
    if (err != ERR_METHOD_NOT_ALLOWED) {
        refuse(newcomer, err, &visit->cors, head_only);
        return;
    }
    log_debug(newcomer->peer, "request refused: %s", err_code(err));
    answer_not_allowed(&newcomer->out, &visit->cors, visit->place->head_too, head_only);
    answer(newcomer);
}

static void tell_options(struct visit *visit)
{
    answer_options(&visit->newcomer->out, &visit->cors, visit->place->head_too);
    answer(visit->newcomer);
}

/* ---- tokens whose key is not known yet ---- */

/* False: it cannot wait. */
static bool begin_to_wait(struct visit *visit)
{
    struct newcomer *newcomer = visit->newcomer;
    if (newcomer->state == READING)
        buf_add_slice(&newcomer->early, visit->early);
    size_t bytes = sizeof *newcomer + newcomer->head.bytes.cap + READ_SIZE;
    if (newcomer->early.failed || keys_wait_begin(newcomer->reception->edge, &newcomer->wait, bytes))
        return false;
    if (newcomer->state == READING) {
        newcomer->state = WAITING;
        wait_for(newcomer, EV_READ, KEYS_WAIT_MS);
    }
    return true;
}

/* How a token counts whose key is not known after all; one that nobody has signed is as wrong as any. */
static int unknown_key(const struct visit *visit)
{
    const struct edge *edge = visit->newcomer->reception->edge;
    if (visit->otherwise == ERR_BAD_TOKEN)
        rates_failed_login(authority_rates(edge->authority), edge->config, visit->newcomer->seats.ip, clock_mono_ms(edge->clock));
    return visit->otherwise;
}

static void enter_identified(struct visit *visit, struct stream_request *request)
{
    const struct place *place = visit->place;
    bool is_stream = place->kind == FOR_STREAMS;
    int err = place->kind == FOR_ANYBODY ? 0 : stream_identify(visit->newcomer->reception->edge, request);
    if (err == ERR_KEYS_PENDING && !visit->otherwise && (is_put_off(visit, is_stream) || begin_to_wait(visit)))
        return;
    if (err == ERR_KEYS_PENDING && visit->otherwise)
        err = request->refused = unknown_key(visit);
    if (err == ERR_KEYS_PENDING || err == ERR_DRAINING)
        put_off(visit, err, is_stream);
    else
        place->enter(visit, request);
}

static void enter(struct visit *visit)
{
    struct newcomer *newcomer = visit->newcomer;
    visit->place = place_find(visit->head.path);
    visit->cors = judge_page(newcomer, &visit->head);
    if (visit->place->any_page && visit->cors.kind != ORIGIN_NONE)
        visit->cors.kind = ORIGIN_ANY;
    find_client(newcomer);
    struct stream_request request = { 0 };
    int err = check_visit(visit);
    if (!err)
        err = stream_request_init(&request, &visit->head, slice_of(newcomer->peer));
    if (err) {
        refuse_visit(visit, err);
        return;
    }
    request.ip = newcomer->seats.ip;
    visit->resumes = stream_after(&request, &visit->after);
    if (visit->head.method == HEAD_METHOD_OPTIONS)
        tell_options(visit);
    else if (!is_kept_out(visit, &request))
        enter_identified(visit, &request);
    stream_request_fini(&request);
}

/* Its key may have come. */
static void enter_again(struct newcomer *newcomer, int otherwise)
{
    struct visit visit = { .newcomer = newcomer, .early = buf_slice(&newcomer->early), .otherwise = otherwise };
    keys_wait_end(newcomer->reception->edge, &newcomer->wait);
    int err = head_read(&newcomer->head, &visit.head);
    if (err)
        refuse(newcomer, err, &nobody, false);
    else
        enter(&visit);
}

static void on_keys(struct keys_wait *wait, int otherwise)
{
    enter_again(link_of(wait, struct newcomer, wait), otherwise);
}

/* ---- reading ---- */

/* Whoever waits is only watched for leaving; what comes behind the head is kept, as much of it as one read brings. */
static void keep_early(struct newcomer *newcomer, struct slice bytes)
{
    buf_add_slice(&newcomer->early, bytes);
    if (newcomer->early.failed)
        newcomer_close(newcomer);
    else if (newcomer->early.len >= READ_SIZE)
        ev_io_stop(newcomer->reception->loop, &newcomer->io);
}

static void read_head(struct newcomer *newcomer, struct slice bytes)
{
    struct visit visit = { .newcomer = newcomer };
    size_t used = 0;
    int got = http_head_feed(&newcomer->head, bytes, newcomer->reception->edge->config->limits_header_bytes, &used);
    if (got == HTTP_HEAD_MORE)
        return;
    int err = got < 0 ? got : head_read(&newcomer->head, &visit.head);
    if (err) {
        refuse(newcomer, err, &nobody, false);
        return;
    }
    visit.early = slice(bytes.at + used, bytes.len - used);
    enter(&visit);
}

static void read_more(struct newcomer *newcomer)
{
    char bytes[READ_SIZE];
    ssize_t n = socket_read(&newcomer->socket, bytes, sizeof bytes);
    if (n == SOCKET_LATER)
        watch(newcomer, socket_reads_by_writing(&newcomer->socket) ? EV_READ | EV_WRITE : EV_READ);      /* a handshake may have to write */
    else if (n == SOCKET_SPEAKS_HTTP)
        refuse(newcomer, ERR_NO_TLS, &nobody, false);
    else if (n <= 0)
        newcomer_close(newcomer);
    else if (newcomer->state == READING)
        read_head(newcomer, slice(bytes, (size_t)n));
    else if (newcomer->state == WAITING)
        keep_early(newcomer, slice(bytes, (size_t)n));
}

static void on_io(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct newcomer *newcomer = watcher->data;
    (void)loop;
    if (newcomer->state == ANSWERING && (events & EV_WRITE))
        send_answer(newcomer);
    else
        read_more(newcomer);
}

/* A head that is not whole in time is told so; who said nothing at all (browsers open connections ahead) is just closed. */
static void on_deadline(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct newcomer *newcomer = watcher->data;
    (void)loop, (void)events;
    if (newcomer->state == READING && !http_head_empty(&newcomer->head))
        refuse(newcomer, ERR_TIMEOUT, &nobody, false);
    else if (newcomer->state == WAITING)
        enter_again(newcomer, ERR_KEYS_PENDING);
    else
        newcomer_close(newcomer);
}

/* ---- the reception ---- */

void reception_init(struct reception *reception, struct lines *lines, struct lws_side *lws, const struct files *files)
{
    *reception = (struct reception){ .edge = lines->edge, .loop = lines->loop, .lines = lines, .lws = lws, .files = files };
    link_init(&reception->newcomers);
}

/* What a client has to say has mostly come by now: then it never waits, and a crowd is not in memory all at once. */
void reception_welcome(struct reception *reception, const struct socket_letter *letter)
{
    struct newcomer *newcomer = calloc(1, sizeof *newcomer);
    if (!newcomer || socket_open(letter->fd, config_public_tls(reception->edge->config), &newcomer->socket)) {
        struct seats seats = letter->seats;
        seats_leave(&seats);
        close(letter->fd);
        free(newcomer);
        return;
    }
    newcomer->reception = reception;
    newcomer->file = SLICE("");
    newcomer->seats = letter->seats;
    newcomer->seat_table = letter->seat_table;
    newcomer->admitted = letter->admitted;
    memcpy(newcomer->peer, letter->peer, sizeof newcomer->peer);
    link_init(&newcomer->link);
    keys_wait_init(&newcomer->wait, on_keys);
    list_add_last(&reception->newcomers, &newcomer->link);
    reception->n++;
    ev_io_init(&newcomer->io, on_io, letter->fd, EV_READ);
    ev_init(&newcomer->deadline, on_deadline);
    newcomer->io.data = newcomer->deadline.data = newcomer;
    wait_for(newcomer, EV_READ, reception->edge->config->limits_handshake_timeout_ms);
    read_more(newcomer);
}

void reception_close(struct reception *reception)
{
    list_each(l, following, &reception->newcomers) {
        struct newcomer *newcomer = link_of(l, struct newcomer, link);
        if (newcomer->state == READING)
            newcomer_close(newcomer);
    }
}

void reception_fini(struct reception *reception)
{
    while (!link_alone(&reception->newcomers))
        newcomer_close(link_of(reception->newcomers.next, struct newcomer, link));
}
