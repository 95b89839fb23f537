/* hub/api/api_batch.c: a stream of lines (POST /v1/messages) at a real hub in memory, without sockets: PROTOCOL §8.
 * Input: the body. However it is cut the answer is the same, to the byte; each line that is not blank has results with its index, in
 * order; what jansson does not read is not published; and the last line counts what was told. */
#include "hub/access/authority.h"
#include "hub/api/api.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/config/config.h"
#include "hub/hub.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

enum { EPOCH = 7, TURNS_MAX = 100000, LONGEST_DATA = 200 };

static struct house {
    struct config      config;
    struct clock       clock;
    struct authority  *authority;
    struct hub        *hub;
    struct mailbox     box;
    struct post        to_hub;
    struct api         api;
    struct api_session session;
    struct api_request request;
    bool               finished;
} house;

static int64_t now_ms(const struct clock *clock) { (void)clock; return 1000000; }
static void on_finished(struct api_request *request) { (void)request; house.finished = true; }
static void on_progress(struct api_request *request) { (void)request; }

/* ---- the house ---- */

static void settle(void)
{
    bool busy = true;
    for (int i = 0; busy; i++) {
        must(i < TURNS_MAX, "it never comes to rest");
        post_flush(&house.to_hub);
        busy = atomic_load(&hub_mailbox(house.hub)->top);
        hub_turn(house.hub);
        for (struct letter *letter = mailbox_take(&house.box), *next; letter; letter = next) {
            struct call *call = (struct call *)(void *)letter;
            next = letter->next;
            letter_done(letter);
            call->answered(call);
            busy = true;
        }
    }
}

static void open_house(void)
{
    static const struct api_header headers[] = { { SLICE("content-type"), SLICE("application/x-ndjson") } };
    log_setup(LOG_ERROR, LOG_TEXT);
    memset(&house, 0, sizeof house);
    house.config = *config_defaults();
    house.config.dev = true;
    house.config.limits_message = LONGEST_DATA;
    house.config.limits_publish_channels = 20;
    house.config.limits_caller_bytes = 4096;
    config_general_rule(&house.config);
    house.clock = (struct clock){ now_ms, now_ms };
    house.authority = authority_new();
    house.hub = hub_new(&house.config, &house.clock, NULL, (struct hub_start){ EPOCH, 1, UINT64_MAX, 0, SLICE("") });
    must(house.hub && house.authority && !mailbox_init(&house.box, false), "no house");
    post_init(&house.to_hub, hub_mailbox(house.hub), SIZE_MAX);
    house.api = (struct api){ .config = &house.config, .clock = &house.clock, .authority = house.authority, .to_hub = &house.to_hub,
                              .peer = hub_add_peer(house.hub, &house.box, false, SIZE_MAX) };
    struct api_request *r = &house.request;
    r->api = &house.api;
    r->session = &house.session;
    r->finished = on_finished;
    r->progress = on_progress;
    r->method = SLICE("POST");
    r->target = SLICE("/v1/messages");
    r->headers = headers;
    r->n_headers = 1;
    must(!api_begin(r) && r->stream.wanted, "the stream is refused");
    api_run(r);
}

static void close_house(void)
{
    api_request_fini(&house.request);
    api_session_fini(&house.session);
    hub_free(house.hub);
    authority_free(house.authority);
    mailbox_fini(&house.box);
}

/* ---- one body ---- */

/* What the front does: sends what there is of the answer, and feeds while there is room. */
static void feed(struct slice piece, struct buf *heard)
{
    char *copy = piece_of(piece);
    for (size_t fed = 0; fed < piece.len;) {
        size_t taken = api_feed(&house.request, slice(copy + fed, piece.len - fed));
        settle();
        buf_add_slice(heard, buf_slice(&house.request.answer));
        buf_reset(&house.request.answer);
        must(taken > 0 || api_feed_has_room(&house.request), "nothing is under way, and there is no room");
        fed += taken;
    }
    free(copy);
}

static void answer(struct slice body, enum cutting cutting, struct buf *heard)
{
    struct chance chance = chance_of(body);
    open_house();
    while (body.len > 0) {
        size_t len = cut(cutting, &chance, body.len);
        feed(slice(body.at, len), heard);
        body = slice(body.at + len, body.len - len);
    }
    api_feed_end(&house.request, 0);
    settle();
    buf_add_slice(heard, buf_slice(&house.request.answer));
    must(house.finished && !heard->failed, "it does not end");
    close_house();
}

/* ---- is it right? ---- */

struct told {
    json_int_t index;          /* of the result before; -1: none yet */
    json_int_t total, good;
};

static bool next_line(struct slice *rest, struct slice *ret_line)
{
    if (rest->len == 0)
        return false;
    const char *end = memchr(rest->at, '\n', rest->len);
    *ret_line = slice(rest->at, end ? (size_t)(end - rest->at) : rest->len);
    *rest = end ? slice(end + 1, rest->len - ret_line->len - 1) : slice(rest->at, 0);
    return true;
}

static bool is_blank(struct slice line)
{
    for (size_t i = 0; i < line.len; i++)
        if (!strchr(" \t\r", line.at[i]) || !line.at[i])
            return false;
    return true;
}

/* All results of one line; returns how many were published. */
static json_int_t take_results(struct slice *heard, struct told *told, struct slice line)
{
    json_int_t good = 0, before = told->index;
    for (struct slice result, after = *heard; next_line(&after, &result); *heard = after) {
        json_t *object = json_loadb(result.at, result.len, 0, NULL);
        json_t *index = json_object_get(object, "index");
        must(object, "no JSON: %.*s", (int)result.len, result.at);
        bool mine = index && (json_integer_value(index) == before + 1);
        if (mine) {
            int status = (int)json_integer_value(json_object_get(object, "status"));
            must(status == 201 || json_object_get(object, "code"), "%.*s", (int)result.len, result.at);
            told->index = before + 1;
            told->total++;
            good += status == 201;
        }
        json_decref(object);
        if (!mine)
            break;
    }
    must(told->index == before + 1, "no result of %.*s", (int)line.len, line.at);
    told->good += good;
    return good;
}

static void check_line(struct slice *heard, struct told *told, struct slice line)
{
    json_error_t error;
    json_t *item = json_loadb(line.at, line.len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    json_int_t good = take_results(heard, told, line);
    enum json_error_code code = json_error_code(&error);
    must(item || good == 0 || code == json_error_numeric_overflow || code == json_error_null_byte_in_key, "published: %.*s", (int)line.len, line.at);
    must(!item || json_is_object(item) || good == 0, "published: %.*s", (int)line.len, line.at);
    json_decref(item);
}

static void check(struct slice body, struct slice heard)
{
    struct told told = { .index = -1 };
    struct slice line;
    while (next_line(&body, &line))
        if (!is_blank(line))
            check_line(&heard, &told, line);
    must(next_line(&heard, &line) && heard.len == 0, "more results than lines");
    json_t *last = json_loadb(line.at, line.len, 0, NULL), *summary = json_object_get(last, "summary");
    must(json_integer_value(json_object_get(summary, "total")) == told.total && json_integer_value(json_object_get(summary, "successful")) == told.good &&
         json_integer_value(json_object_get(summary, "failed")) == told.total - told.good, "%.*s", (int)line.len, line.at);
    json_decref(last);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = input(data, size);
    struct buf heard[CUTTINGS] = { 0 };
    for (enum cutting cutting = WHOLE; cutting < CUTTINGS; cutting++) {
        answer(body, cutting, &heard[cutting]);
        must_be_same(buf_slice(&heard[cutting]), buf_slice(&heard[WHOLE]), "answers");
    }
    check(body, buf_slice(&heard[WHOLE]));
    for (enum cutting cutting = WHOLE; cutting < CUTTINGS; cutting++)
        buf_fini(&heard[cutting]);
    return 0;
}
