/* hub_rig.h — the hub core with a store, an edge's mailbox and a clock that the test holds in its hands. */
#pragma once
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/config/config.h"
#include "hub/hub.h"
#include "hub/keeping.h"
#include "hub/metrics.h"
#include "hub/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { EPOCH = 77, UNANSWERED = 1000 };
enum { GROUPS = 2, CAME = 64 };

struct rig {
    struct clock       clock;
    int64_t            mono_ms, wall_ms;
    struct config      config;
    struct store       store;
    struct store_group *submitted[GROUPS];      /* at the store, oldest first */
    size_t             n_submitted;
    uint64_t           generation;
    struct post        store_post;
    struct mailbox     api_box, edge_box;
    struct keeping     keeping;
    struct hub        *hub;
    struct post        to_hub;
    uint8_t            api, edge;
    struct seen { uint32_t kind; uint64_t seq; } came[CAME];      /* what the edge was mailed and the test has not looked at yet */
    size_t             n_came;
    atomic_uint        subscribers;
};

static inline struct rig *rig_of_clock(const struct clock *clock) { return (struct rig *)(uintptr_t)clock; }
static inline int64_t rig_mono(const struct clock *clock) { return rig_of_clock(clock)->mono_ms; }
static inline int64_t rig_wall(const struct clock *clock) { return rig_of_clock(clock)->wall_ms; }

static inline struct rig *rig_of_store(struct store *store) { return (struct rig *)(void *)((char *)store - offsetof(struct rig,
                                                                                                              store)); }

static inline void rig_submit(struct store *store, struct store_group *group)
{
    struct rig *rig = rig_of_store(store);
    assert_true(rig->n_submitted < 2);     /* store.h: at most two are under way */
    rig->submitted[rig->n_submitted++] = group;
}

static inline void open_hub(struct rig *rig, bool with_store, struct hub_start start, size_t mail_bytes)
{
    config_general_rule(&rig->config);
    keeping_init(&rig->keeping, &rig->config, SLICE(""), start.next);
    start.keeping = buf_slice(&rig->keeping.text);      /* as in the run before */
    rig->hub = hub_new(&rig->config, &rig->clock, with_store ? &rig->store : NULL, start);
    assert_non_null(rig->hub);
    assert_int_equal(mailbox_init(&rig->edge_box, false) + mailbox_init(&rig->api_box, false), 0);
    post_init(&rig->to_hub, hub_mailbox(rig->hub), SIZE_MAX);
    post_init(&rig->store_post, hub_mailbox(rig->hub), SIZE_MAX);
    rig->edge = hub_add_peer(rig->hub, &rig->edge_box, true, mail_bytes);
    rig->api = hub_add_peer(rig->hub, &rig->api_box, false, SIZE_MAX);
}

static inline void open_plain(struct rig *rig) { open_hub(rig, false, (struct hub_start){ EPOCH, 1, 1, 0, SLICE("") }, SIZE_MAX); }

static inline int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->clock = (struct clock){ rig_mono, rig_wall };
    rig->store.submit = rig_submit;
    rig->mono_ms = 1000;
    rig->wall_ms = 1700000000000;
    rig->config = (struct config){ .history_size = 100, .history_ttl_ms = 60000, .history_bytes = 1 << 20, .history_max_bytes = 1 << 24,
                                   .store_sync = STORE_SYNC_BATCH, .store_queue_bytes = 1 << 20,
                                   .publish_idempotency_keys = 1000, .publish_idempotency_ttl_ms = 60000 };
    *state = rig;
    return 0;
}

/* Takes all that the hub has mailed. Calls are the test's own, messages and losses are noted and freed. */
static inline void take_mail(struct rig *rig)
{
    mailbox_take(&rig->api_box);
    for (struct letter *letter = mailbox_take(&rig->edge_box), *next; letter; letter = next) {
        next = letter->next;
        uint64_t seq = letter->kind == LETTER_MESSAGE ? ((struct message_letter *)letter)->msg->seq : 0;
        assert_true(rig->n_came < CAME);
        rig->came[rig->n_came++] = (struct seen){ letter->kind, seq };
        if (letter->kind < CALL_KINDS)
            continue;
        letter_done(letter);
        if (letter->kind == LETTER_MESSAGE)
            msg_unref(((struct message_letter *)letter)->msg);
        if (letter->kind != LETTER_LOST)
            free(letter);
    }
}

static inline void turn(struct rig *rig)
{
    post_flush(&rig->to_hub);
    hub_turn(rig->hub);
    take_mail(rig);
}

/* The edge has been mailed exactly this since it was asked last: kind, number; … ends with kind CALL_KINDS. */
#define assert_came(rig, ...) assert_came_(rig, (const struct seen[]){ __VA_ARGS__, { CALL_KINDS, 0 } })
static inline void assert_came_(struct rig *rig, const struct seen *expected)
{
    size_t n = 0;
    for (; expected[n].kind != CALL_KINDS; n++) {
        assert_true(n < rig->n_came);
        assert_int_equal(rig->came[n].kind, expected[n].kind);
        assert_int_equal(rig->came[n].seq, expected[n].seq);
    }
    assert_int_equal(rig->n_came, n);
    rig->n_came = 0;
}

static inline int tear_down(void **state)
{
    struct rig *rig = *state;
    take_mail(rig);
    hub_free(rig->hub);
    keeping_fini(&rig->keeping);
    mailbox_fini(&rig->edge_box);
    mailbox_fini(&rig->api_box);
    free(rig);
    return 0;
}

static inline void submit(struct rig *rig, struct call *call, enum letter_kind kind)
{
    bool is_edges = kind == CALL_WATCH || kind == CALL_UNWATCH || kind == CALL_LOSS_SEEN;
    call->letter.kind = kind;
    call->from = is_edges ? rig->edge : rig->api;
    call->err = UNANSWERED;
    call_submit(&rig->to_hub, call, 0);
}

static inline void store_answers(struct rig *rig, int err)
{
    assert_true(rig->n_submitted > 0);
    struct store_group *group = rig->submitted[0];
    rig->submitted[0] = rig->submitted[1];
    rig->n_submitted--;
    group->err = group->generation < rig->generation ? ERR_STORE_FAILED : err;
    rig->generation += group->err && group->generation == rig->generation;
    group->next_generation = rig->generation;
    post_put(&rig->store_post, &group->letter, 0);
    post_flush(&rig->store_post);
    turn(rig);
}

static inline void publish(struct rig *rig, struct publish_call *call, const char *channel, const char *data)
{
    *call = (struct publish_call){ .msg = msg_new(&(struct msg_parts){ .channel = slice_of(channel), .kind = MSG_TEXT, .data = slice_of(data) }) };
    submit(rig, &call->call, CALL_PUBLISH);
}

/* Publishes, looks at the answer, and gives the number (0: refused). */
static inline uint64_t publish_one(struct rig *rig, const char *channel, const char *data)
{
    struct publish_call call;
    publish(rig, &call, channel, data);
    turn(rig);
    uint64_t seq = call.call.err ? 0 : call.msg->seq;
    msg_unref(call.msg);
    return seq;
}

/* `names` ends with NULL. The answer is to be given back with fetch_answer_fini. */
static inline void fetch(struct rig *rig, struct fetch_call *call, struct fetch_channel *channels, const char *const *names,
                  enum fetch_from from,
                  struct position after)
{
    *call = (struct fetch_call){ .channels = channels, .from = from, .after = after, .max_bytes = SIZE_MAX };
    for (; names[call->n_channels]; call->n_channels++)
        channels[call->n_channels] = (struct fetch_channel){ .name = slice_of(names[call->n_channels]) };
    submit(rig, &call->call, CALL_FETCH);
}

static inline struct fetch_call fetch_one(struct rig *rig, const char *name, enum fetch_from from, struct position after,
                                   struct fetch_channel *channel)
{
    struct fetch_call call;
    fetch(rig, &call, channel, (const char *const[]){ name, NULL }, from, after);
    turn(rig);
    assert_int_equal(call.call.err, 0);
    return call;
}

static inline void assert_answer(const struct fetch_call *call, enum gap_reason gap, uint64_t begin, uint64_t upto, size_t n_msgs)
{
    assert_int_equal(call->gap, gap);
    assert_int_equal(call->begin.epoch, EPOCH);
    assert_int_equal(call->begin.seq, begin);
    assert_int_equal(call->upto.seq, upto);
    assert_int_equal(call->n_msgs, n_msgs);
}

static inline void watch(struct rig *rig, const char *channel, struct watch_call *call, enum letter_kind kind)
{
    *call = (struct watch_call){ .channel = slice_of(channel), .hash = hash_bytes(slice_of(channel)), .subscribers = &rig->subscribers };
    submit(rig, &call->call, kind);
}

#define ON_RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
