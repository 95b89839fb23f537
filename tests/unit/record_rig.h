/* record_rig.h — a hub in memory only, and somebody who asks it to change records: what the tables of an
 * authority are tested with. */
#pragma once
#include "hub/access/authority.h"
#include "hub/access_records.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/hub.h"
#include "hub/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct record_rig {
    struct config  config;
    struct hub    *hub;
    struct authority *authority;
    int            told;      /* how often it was said that something was taken back */
    struct mailbox box;
    struct post    to_hub;
    uint8_t        peer;
    struct record_call call;
};

static inline void record_rig_count(void *arg) { ((struct record_rig *)arg)->told++; }

static inline void record_rig_open(struct record_rig *rig)
{
    rig->authority = authority_new();
    authority_on_taken_back(rig->authority, (struct taken_back){ record_rig_count, rig });
    rig->config = *config_defaults();
    rig->hub = hub_new(&rig->config, clock_real(), NULL, (struct hub_start){ .epoch = 1, .next = 1, .reserved = 1 });
    hub_add_access(rig->hub, rig->authority);
    assert_int_equal(mailbox_init(&rig->box, false), 0);
    post_init(&rig->to_hub, hub_mailbox(rig->hub), SIZE_MAX);
    rig->peer = hub_add_peer(rig->hub, &rig->box, false, SIZE_MAX);
}

static inline void record_rig_close(struct record_rig *rig)
{
    hub_free(rig->hub);
    authority_free(rig->authority);
    mailbox_fini(&rig->box);
}

/* Asks, and what came of it. */
static inline int record_rig_ask(struct record_rig *rig, enum record_kind kind, const char *key, void *ask)
{
    rig->call = (struct record_call){ .call = { .letter.kind = CALL_RECORD, .from = rig->peer, .err = 1 }, .kind = kind,
                                      .key = slice_of(key), .ask = ask };
    call_submit(&rig->to_hub, &rig->call.call, 0);
    post_flush(&rig->to_hub);
    hub_turn(rig->hub);
    assert_ptr_equal(mailbox_take(&rig->box), &rig->call);
    return rig->call.call.err;
}
