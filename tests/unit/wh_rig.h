/* wh_rig.h — the dispatcher of webhooks on a real hub whose store is in memory, with a clock in the test's hands and receivers that answer what the
 * test says. Time passes by rig_pass(). */
#pragma once
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/hub.h"
#include "hub/store.h"
#include "webhooks/dispatcher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { SENT_MOST = 4096, ENDPOINTS_MOST = 4 };

struct rig {
    struct hook          hook;            /* first */
    struct http_out      out;
    struct clock         clock;
    int64_t              mono_ms, wall_ms;
    struct config        config;
    struct store        *store;
    struct hub          *hub;
    struct mailbox       api_box;
    struct post          to_hub;
    uint8_t              api;
    struct dispatcher   *dispatcher;
    struct endpoint     *endpoints[ENDPOINTS_MOST];
    size_t               n_endpoints;
    struct http_out_request *sent[SENT_MOST];      /* under way, oldest first */
    size_t               n_sent, most_sent;
    enum endpoint_disabled marked;
    int64_t              marked_since_s;
    unsigned             marks;
};

static struct rig rig;

static int64_t rig_mono(const struct clock *clock) { (void)clock; return rig.mono_ms; }
static int64_t rig_wall(const struct clock *clock) { (void)clock; return rig.wall_ms; }

static void rig_send(struct http_out *out, struct http_out_request *request)
{
    (void)out;
    assert_true(rig.n_sent < SENT_MOST);
    assert_int_equal(request->prepare(request), 0);
    rig.sent[rig.n_sent++] = request;
    rig.most_sent = rig.n_sent > rig.most_sent ? rig.n_sent : rig.most_sent;
}

static void rig_cancel(struct http_out *out, struct http_out_request *request) { (void)out, (void)request; }

static size_t rig_targets(struct hook *hook, enum event_type type, const struct msg *m, struct event_target *ret_targets)
{
    size_t n = 0;
    (void)hook;
    for (size_t i = 0; i < rig.n_endpoints; i++)
        if (endpoint_wants(rig.endpoints[i], type, m))
            ret_targets[n++] = (struct event_target){ rig.endpoints[i]->number, endpoint_lane(rig.endpoints[i], m),
                                                      dispatcher_is_full(rig.dispatcher, rig.endpoints[i]->number) };
    return n;
}

static bool rig_wants(const struct hook *hook, enum event_type type) { (void)hook, (void)type; return true; }
static void rig_accepted(struct hook *hook, struct hub_event *event) { (void)hook; dispatcher_accept(rig.dispatcher, event); }
static void rig_watched(struct hook *hook, struct slice channel, bool on) { (void)hook, (void)channel, (void)on; }
static void rig_order(struct hook *hook, struct webhook_call *call) { (void)hook, (void)call; }

static void rig_turn_again(void *arg) { (void)arg; }
static void rig_mark(void *arg, uint64_t number, enum endpoint_disabled disabled, int64_t failing_since_s)
{
    (void)arg, (void)number;
    rig.marked = disabled;
    rig.marked_since_s = failing_since_s;
    rig.marks++;
}

/* Until nothing happens any more without time or an answer. */
static void rig_turn(void)
{
    for (int i = 0; i < 12; i++) {
        post_flush(&rig.to_hub);
        hub_turn(rig.hub);
        mailbox_take(&rig.api_box);
    }
}

/* So much time passes; what it brings happens when it is due. */
static void rig_pass(int64_t ms)
{
    int64_t end = rig.mono_ms + ms;
    for (int64_t due; (due = dispatcher_due_ms(rig.dispatcher)) <= end;) {
        if (due > rig.mono_ms) {
            rig.wall_ms += due - rig.mono_ms;
            rig.mono_ms = due;
        }
        dispatcher_tick(rig.dispatcher);
        rig_turn();
    }
    rig.wall_ms += end - rig.mono_ms;
    rig.mono_ms = end;
    hub_tick(rig.hub);
    rig_turn();
}

static uint64_t rig_endpoint(const char *members)
{
    char document[1024];
    struct webhook_problems problems;
    uint64_t number = rig.n_endpoints + 1;
    snprintf(document, sizeof document, "{\"url\":\"https://partner.example/%lu\",\"events\":[\"message.published\"]%s}", (unsigned long)number, members);
    struct endpoint *endpoint = endpoint_make(number, slice_of(document), &(struct endpoint_terms){ .now_s = rig.wall_ms / 1000 }, &problems);
    if (!endpoint)
        fail_msg("%s: %s", problems.found[0].field, problems.found[0].detail);
    rig.endpoints[rig.n_endpoints++] = endpoint;
    assert_int_equal(dispatcher_put(rig.dispatcher, endpoint), 0);
    return number;
}

/* Another version of it. */
static void rig_change(uint64_t number, const char *patch)
{
    struct webhook_problems problems;
    struct endpoint *before = rig.endpoints[number - 1];
    struct endpoint *now = endpoint_patch(before, slice_of(patch), &(struct endpoint_terms){ .now_s = rig.wall_ms / 1000 }, &problems);
    assert_non_null(now);
    rig.endpoints[number - 1] = now;
    endpoint_unref(before);
    assert_int_equal(dispatcher_put(rig.dispatcher, now), 0);
    rig_pass(1);
}

static void rig_publish(const char *channel, const char *data)
{
    struct publish_call *call = calloc(1, sizeof *call);
    struct msg *m = msg_new(&(struct msg_parts){ .channel = slice_of(channel), .kind = MSG_TEXT, .data = slice_of(data) });
    *call = (struct publish_call){ .msg = m };
    call->call.letter.kind = CALL_PUBLISH;
    call->call.from = rig.api;
    call_submit(&rig.to_hub, &call->call, 0);
    rig_turn();
    assert_int_equal(call->call.err, 0);
    msg_unref(m);
    free(call);
}

/* What the i-th request under way carries. */
static const char *rig_data(size_t i)
{
    static char text[64];
    struct slice body = rig.sent[i]->body;
    char copy[1024];
    snprintf(copy, sizeof copy, "%.*s", (int)body.len, body.at);
    const char *at = strstr(copy, "\"data\":\"");
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s", (int)strcspn(at + 8, "\""), at + 8);
    return text;
}

/* The i-th request under way is answered. `head`: further lines of it, or "". */
static void rig_answer_with(size_t i, int status, const char *head)
{
    struct http_out_request *request = rig.sent[i];
    memmove(&rig.sent[i], &rig.sent[i + 1], (rig.n_sent - i - 1) * sizeof *rig.sent);
    rig.n_sent--;
    request->err = status ? 0 : ERR_UNREACHABLE;
    request->fault = status ? HTTP_OUT_NONE : HTTP_OUT_CONNECT;
    request->status = status;
    buf_addf(&request->answer_head, "HTTP/1.1 %d X\n%s", status, head);
    request->answered(request);
    rig_turn();
}
static void rig_answer(size_t i, int status) { rig_answer_with(i, status, ""); }

static void rig_read(struct delivery_read *read, struct delivery_read wish);
static void rig_note(struct delivery_read *read) { *(bool *)read->owner = true; }
static void rig_read(struct delivery_read *read, struct delivery_read wish)
{
    bool answered = false;
    *read = wish;
    read->answered = rig_note;
    read->owner = &answered;
    hub_read_deliveries(rig.hub, read);
    rig_turn();
    assert_true(answered && !read->err);
}

/* How many deliveries are in this state. */
static size_t rig_count(enum delivery_status status)
{
    struct delivery_read read;
    rig_read(&read, (struct delivery_read){ .kind = READ_OLDEST, .statuses = 1U << status, .limit = 100000, .looks = 100000, .max_bytes = SIZE_MAX });
    size_t n = read.n;
    delivery_read_fini(&read);
    return n;
}

static inline int rig_set_up(void **state)
{
    (void)state;
    rig = (struct rig){ .hook = { .targets = rig_targets, .wants = rig_wants, .accepted = rig_accepted, .watched = rig_watched, .order = rig_order }, .out = { rig_send, rig_cancel, 0 },
                        .clock = { rig_mono, rig_wall }, .mono_ms = 1000, .wall_ms = 1700000000000 };
    rig.config = (struct config){ .history_size = 100, .history_ttl_ms = 60000, .history_bytes = 1 << 20, .history_max_bytes = 1 << 24, .store_queue_bytes = 1 << 20,
                                  .publish_idempotency_keys = 1000, .publish_idempotency_ttl_ms = 60000, .webhooks_retry = "0,5s,30s",
                                  .webhooks_concurrency = 100, .webhooks_queue = 1000, .webhooks_retention_ms = 3600000, .webhooks_dead_retention_ms = 7200000,
                                  .webhooks_max_bytes = 1 << 30, .webhooks_breaker = 4, .webhooks_breaker_pause_ms = 5000, .webhooks_breaker_pause_max_ms = 60000,
                                  .webhooks_disable_after_ms = 86400000, .webhooks_ca = "", .webhooks_proxy = "", .webhooks_source_address = "",
                                  .webhooks_timeout_ms = 10000 };
    config_general_rule(&rig.config);
    rig.hub = hub_new(&rig.config, &rig.clock, NULL, (struct hub_start){ 77, 1, 1, 0, SLICE("") });
    rig.store = store_memory_open(hub_mailbox(rig.hub));
    hub_use_memory(rig.hub, rig.store);
    hub_use_hook(rig.hub, &rig.hook);
    assert_int_equal(mailbox_init(&rig.api_box, false), 0);
    post_init(&rig.to_hub, hub_mailbox(rig.hub), SIZE_MAX);
    rig.api = hub_add_peer(rig.hub, &rig.api_box, false, SIZE_MAX);
    rig.dispatcher = dispatcher_new(&(struct dispatcher_setup){ rig.hub, &rig.clock, &rig.config, NULL, &rig.out, rig_turn_again, rig_mark, NULL });
    assert_non_null(rig.dispatcher);
    rig_pass(1);
    return 0;
}

static inline int rig_tear_down(void **state)
{
    (void)state;
    dispatcher_stop(rig.dispatcher);
    while (rig.n_sent > 0)
        rig_answer(0, 200);
    rig_turn();
    dispatcher_free(rig.dispatcher);
    for (size_t i = 0; i < rig.n_endpoints; i++)
        endpoint_unref(rig.endpoints[i]);
    hub_free(rig.hub);
    store_memory_close(rig.store);
    mailbox_fini(&rig.api_box);
    return 0;
}

#define ON_RIG(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)
