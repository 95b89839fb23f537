/* transports/protocol/ws_commands.c on a connection of a real edge at a real hub, in memory, whose line takes everything: PROTOCOL §6.
 * Input: one frame per line. What comes back is read with jansson; each frame sent gets its answers, with its ref. */
#include "hub/access/authority.h"
#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/config/config.h"
#include "hub/hub.h"
#include "tests/fuzz/fuzz.h"
#include "transports/edge/conn.h"
#include "transports/edge/edge.h"
#include "transports/protocol/ws.h"

#include <jansson.h>

enum { EPOCH = 7, TURNS_MAX = 1000 };

struct house {
    struct config config;
    struct clock  clock;
    struct hub   *hub;
    struct authority *authority;
    struct edge  *edge;
    struct conn  *conn;
    struct buf    heard;       /* what the line took */
    bool          paused;
};

static struct house *house;

/* ---- the line ---- */

static ssize_t line_send(struct conn *conn, const struct iovec *iov, int n)
{
    size_t total = 0;
    (void)conn;
    for (int i = 0; i < n; i++) {
        buf_add(&house->heard, iov[i].iov_base, iov[i].iov_len);
        total += iov[i].iov_len;
    }
    return (ssize_t)total;
}
static void line_keep(struct conn *conn, const void *rest, size_t len)
{
    (void)conn;
    (void)rest;
    must(false, "%zu bytes are kept though the line takes all", len);
}
static void line_want_writable(struct conn *conn) { (void)conn; must(false, "wants what it has"); }
static void line_pause(struct conn *conn, bool paused)
{
    (void)conn;
    house->paused = paused;
}
static void line_finish(struct conn *conn, int64_t within_ms)
{
    (void)within_ms;
    must(false, "a command ended connection %llu", (unsigned long long)conn->id);
}
static const struct line_ops line = { line_send, line_keep, line_want_writable, line_pause, line_finish, NULL, 0 };

/* ---- the house ---- */

static int64_t now_ms(const struct clock *clock) { (void)clock; return 1000000; }

static void settle(void)
{
    bool busy = true;
    for (int i = 0; busy; i++) {
        must(i < TURNS_MAX, "it never comes to rest");
        edge_mail(house->edge);
        edge_flush(house->edge);
        busy = atomic_load(&hub_mailbox(house->hub)->top) != NULL;
        hub_turn(house->hub);
        busy = busy || atomic_load(&house->edge->box.top);
    }
}

static void open_house(void)
{
    struct stream_request request = { 0 };
    log_setup(LOG_ERROR, LOG_TEXT);
    house = calloc(1, sizeof *house);
    house->config = *config_defaults();
    house->config.dev = true;
    house->config.limits_channels = 5;
    house->config.limits_commands = 8;
    house->config.limits_message = 200;
    config_general_rule(&house->config);
    house->config.access_subscribe = house->config.access_publish = house->config.access_history =
        (struct words){ (const char *const[]){ "**" }, 1 };
    house->clock = (struct clock){ now_ms, now_ms };
    house->authority = authority_new();
    house->hub = hub_new(&house->config, &house->clock, NULL, (struct hub_start){ EPOCH, 1, UINT64_MAX, 0, SLICE("") });
    must(house->hub && !edge_new(&house->config, &house->clock, house->hub, house->authority, false, &house->edge), "no house");
    house->edge->line = &line;
    house->edge->next_id = 1;
    house->conn = ws_open(house->edge, NULL, &request);
    settle();
}

static void close_house(void)
{
    conn_gone(house->conn);
    settle();
    must(edge_idle(house->edge), "something of the connection is left");
    edge_free(house->edge);
    authority_free(house->authority);
    hub_free(house->hub);
    buf_fini(&house->heard);
    free(house);
}

/* ---- what is said ---- */

struct said {
    json_t *frame;         /* NULL: not what jansson reads */
    json_t *ref;           /* borrowed, or NULL */
    size_t  answers, errors;
};

/* Answers that are to come to a command that is done: one per channel, of which some may be named twice. */
static void check_answers(const struct said *said, struct slice text)
{
    const char *type = json_string_value(json_object_get(said->frame, "type"));
    size_t most = type && strstr(type, "subscribe") ? json_array_size(json_object_get(said->frame, "channels")) : 1;
    must(said->answers > 0, "no answer to %.*s", (int)text.len, text.at);
    must(said->errors ? said->answers == 1 : said->answers <= most || !said->frame, "%zu answers to %.*s", said->answers, (int)text.len, text.at);
}

static bool is_unasked(const char *type)
{
    return !strcmp(type, "welcome") || !strcmp(type, "message") || !strcmp(type, "gap") || !strcmp(type, "position");
}

static void hear(struct said *said, struct slice text)
{
    json_error_t error;
    json_t *heard = json_loadb(text.at, text.len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (!heard) {      /* numbers and names that jansson has no room for come back as they were sent */
        must(!said->frame, "the hub says what is no JSON: %s: %.*s", error.text, (int)text.len, text.at);
        said->answers++;
        return;
    }
    const char *type = json_string_value(json_object_get(heard, "type"));
    must(type, "no type: %.*s", (int)text.len, text.at);
    if (!is_unasked(type)) {
        said->answers++;
        said->errors += !strcmp(type, "error");
        json_t *ref = json_object_get(heard, "ref");
        must(!ref || !said->frame || json_equal(ref, said->ref), "a ref that was not sent: %.*s", (int)text.len, text.at);
    }
    json_decref(heard);
}

/* RFC 6455 §5.2, as the hub writes it: whole text frames, not masked. */
static void hear_frames(struct said *said)
{
    const unsigned char *at = (const unsigned char *)house->heard.at;
    for (size_t left = house->heard.len; left > 0;) {
        must(left >= 2 && at[0] == 0x81 && at[1] < 127, "not the head of a small text frame");
        size_t header = at[1] == 126 ? 4 : 2, len = at[1] == 126 ? (size_t)at[2] << 8 | at[3] : at[1];
        must(left >= header + len, "half a frame");
        hear(said, slice((const char *)at + header, len));
        at += header + len;
        left -= header + len;
    }
    buf_reset(&house->heard);
}

static void say(struct slice text)
{
    struct said said = { 0 };
    char *copy = piece_of(text);
    said.frame = json_loadb(text.at, text.len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    said.ref = json_object_get(said.frame, "ref");
    must(!house->paused, "input is held");
    ws_on_message(house->conn, slice(copy, text.len));
    free(copy);
    settle();
    hear_frames(&said);
    check_answers(&said, text);
    json_decref(said.frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = input(data, size);
    struct said nothing = { 0 };
    open_house();
    hear_frames(&nothing);
    while (rest.len > 0) {
        const char *end = memchr(rest.at, '\n', rest.len);
        struct slice text = slice(rest.at, end ? (size_t)(end - rest.at) : rest.len);
        say(text);
        rest = end ? slice(end + 1, rest.len - text.len - 1) : slice(end, 0);
    }
    close_house();
    return 0;
}
