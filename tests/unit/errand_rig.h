/* errand_rig.h — errands through the hub: three edges are mailboxes in the test's hands, which fill their parts and send them back when
 * it says so. Threading: the test's thread. */
#pragma once
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/errand.h"
#include "hub/hub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

enum { EDGES = 3, UNANSWERED = 1000, PARTS = 64 };

struct rig {
    struct clock    clock;
    struct config   config;
    struct hub     *hub;
    struct mailbox  api_box, edge_box[EDGES];
    struct post     to_hub;
    uint8_t         api, edge[EDGES];
    struct errand_part *came[EDGES][PARTS];     /* parts that an edge has and has not sent back, oldest first */
    size_t          n_came[EDGES];
    unsigned        answers;
    struct call    *answered[PARTS];            /* in order */
};

static inline int64_t no_time(const struct clock *clock) { (void)clock; return 1000; }

static inline int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->clock = (struct clock){ no_time, no_time };
    rig->config = *config_defaults();
    rig->hub = hub_new(&rig->config, &rig->clock, NULL, (struct hub_start){ 7, 1, 1, 0, SLICE("") });
    post_init(&rig->to_hub, hub_mailbox(rig->hub), SIZE_MAX);
    assert_int_equal(mailbox_init(&rig->api_box, false), 0);
    rig->api = hub_add_peer(rig->hub, &rig->api_box, false, SIZE_MAX);
    for (int i = 0; i < EDGES; i++) {
        assert_int_equal(mailbox_init(&rig->edge_box[i], false), 0);
        rig->edge[i] = hub_add_peer(rig->hub, &rig->edge_box[i], true, SIZE_MAX);
    }
    *state = rig;
    return 0;
}

static inline void turn(struct rig *rig)
{
    post_flush(&rig->to_hub);
    hub_turn(rig->hub);
    for (struct letter *l = mailbox_take(&rig->api_box), *next; l; l = next) {
        next = l->next;
        rig->answered[rig->answers++] = (struct call *)l;
    }
    for (int i = 0; i < EDGES; i++)
        for (struct letter *l = mailbox_take(&rig->edge_box[i]), *next; l; l = next) {
            next = l->next;
            if (l->kind == LETTER_ERRAND)
                rig->came[i][rig->n_came[i]++] = (struct errand_part *)l;
        }
}

static inline int tear_down(void **state)
{
    struct rig *rig = *state;
    turn(rig);
    hub_free(rig->hub);
    free(rig);
    return 0;
}

static inline void ask(struct rig *rig, struct errand_call *errand)
{
    errand->call.letter.kind = CALL_ERRAND;
    errand->call.from = rig->api;
    errand->call.err = UNANSWERED;
    call_submit(&rig->to_hub, &errand->call, 0);
}

/* The oldest part that the edge has goes back. */
static inline void give_back(struct rig *rig, int edge)
{
    struct errand_part *part = rig->came[edge][0];
    assert_true(rig->n_came[edge] > 0);
    memmove(rig->came[edge], rig->came[edge] + 1, --rig->n_came[edge] * sizeof *rig->came[edge]);
    letter_done(&part->letter);
    post_put(&rig->to_hub, &part->letter, 0);
}

static inline void leave(struct rig *rig, int edge, struct call *call)
{
    *call = (struct call){ .letter.kind = CALL_LEAVE, .from = rig->edge[edge], .err = UNANSWERED };
    call_submit(&rig->to_hub, call, 0);
}

static inline uint64_t id(struct rig *rig, int edge, uint64_t n) { return n << 8 | rig->edge[edge]; }

/* The part finds these numbers on its edge; 0 ends. */
static inline void find(struct rig *rig, int edge, const uint64_t *numbers, bool more)
{
    struct errand_part *part = rig->came[edge][0];
    part->found = calloc(16, sizeof *part->found);
    part->more = more;
    for (; *numbers; numbers++) {
        buf_addf(&part->text, "<%llu>", (unsigned long long)*numbers);
        part->found[part->n_found++] = (struct errand_found){ id(rig, edge, *numbers), part->text.len };
    }
}
#define FIND(rig, edge, more, ...) find(rig, edge, (const uint64_t[]){ __VA_ARGS__ __VA_OPT__(,) 0 }, more)
