/* rooms_rig.h — rooms with a clock that the test holds, and what members of rooms were told, by connection. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/rooms.h"
#include "signaling/rooms.h"

#include <stdio.h>
#include <stdlib.h>

enum { RIG_CONNECTIONS = 64 };

struct rooms_rig {
    struct clock  clock;
    int64_t       mono_ms, wall_ms;
    struct config config;
    struct rooms *rooms;
    struct buf    told[RIG_CONNECTIONS];        /* frames, a line each */
    bool          is_full[RIG_CONNECTIONS];     /* too much is on its way to it */
    bool          is_replaced[RIG_CONNECTIONS];
    bool          has_no_memory;
    struct buf    events;                       /* "room.joined {…}\n" */
    struct buf    answer;                       /* of what was asked last */
};

static inline const struct rooms_rig *rig_of(const struct clock *clock) { return (const struct rooms_rig *)(const void *)clock; }
static inline int64_t rig_mono(const struct clock *clock) { return rig_of(clock)->mono_ms; }
static inline int64_t rig_wall(const struct clock *clock) { return rig_of(clock)->wall_ms; }

static inline bool rig_say(void *self, struct peer_address to, const struct frame *frame)
{
    struct rooms_rig *rig = self;
    struct room_say say = { .seq = frame->seq, .frame = (uint8_t)frame->type, .replay = frame->replay, .head = frame->head, .rest = frame->rest };
    assert_true(to.connection > 0 && to.connection < RIG_CONNECTIONS);
    if (rig->has_no_memory)
        return false;
    room_say_print(&say, &rig->told[to.connection]);
    buf_add_char(&rig->told[to.connection], '\n');
    return true;
}

static inline bool rig_may_send(void *self, struct peer_address to) { return !((struct rooms_rig *)self)->is_full[to.connection]; }
static inline void rig_replace(void *self, struct peer_address old)  { ((struct rooms_rig *)self)->is_replaced[old.connection] = true; }

static inline void rig_tell(void *self, enum event_type type, struct slice room, struct slice data)
{
    struct rooms_rig *rig = self;
    (void)room;
    buf_addf(&rig->events, "%s %.*s\n", event_type_text(type), (int)data.len, data.at);
}

static const struct rooms_out rig_out = { rig_say, rig_may_send, rig_replace, rig_tell };

static inline void rig_open(struct rooms_rig *rig)
{
    *rig = (struct rooms_rig){ .clock = { rig_mono, rig_wall }, .mono_ms = 1000, .wall_ms = 1700000000000, .config = *config_defaults() };
    config_general_room_rule(&rig->config);
    rig->rooms = rooms_new(&rig->config, &rig->clock, &rig_out, rig);
}

static inline void rig_forget(struct rooms_rig *rig)
{
    for (int i = 0; i < RIG_CONNECTIONS; i++)
        buf_reset(&rig->told[i]);
    buf_reset(&rig->events);
}

static inline void rig_close(struct rooms_rig *rig)
{
    rooms_free(rig->rooms);
    for (int i = 0; i < RIG_CONNECTIONS; i++)
        buf_fini(&rig->told[i]);
    buf_fini(&rig->events);
    buf_fini(&rig->answer);
}

/* Time goes by, and what is due happens when it is. */
static inline void rig_pass(struct rooms_rig *rig, int64_t ms)
{
    int64_t end = rig->mono_ms + ms, due;
    while ((due = rooms_due_ms(rig->rooms)) <= end) {
        rig->wall_ms += due > rig->mono_ms ? due - rig->mono_ms : 0;
        rig->mono_ms = due > rig->mono_ms ? due : rig->mono_ms;
        rooms_tick(rig->rooms);
    }
    rig->wall_ms += end - rig->mono_ms;
    rig->mono_ms = end;
}

/* What was asked is in rig->answer, without the comma before it. */
static inline int rig_run(struct rooms_rig *rig, uint64_t connection, struct room_call *call)
{
    call->asker.connection = connection;
    int err = rooms_run(rig->rooms, (struct peer_address){ .connection = connection }, call);
    buf_reset(&rig->answer);
    buf_add_slice(&rig->answer, buf_slice(&call->text));
    buf_add_char(&rig->answer, '\0');
    buf_fini(&call->text);
    return err;
}

static inline int rig_join(struct rooms_rig *rig, uint64_t connection, const char *room, const char *user)
{
    return rig_run(rig, connection, &(struct room_call){ .order = ROOM_JOIN, .room = slice_of(room), .user = slice_of(user) });
}

static inline int rig_relay_numbered(struct rooms_rig *rig, uint64_t connection, enum room_frame frame, const char *to, const char *rest, uint64_t n)
{
    struct room_call call = { .order = ROOM_RELAY, .frame = frame, .to = slice_of(to), .n = n, .rest = room_text_new(slice_of(rest)) };
    struct room_text *text = call.rest;
    int err = rig_run(rig, connection, &call);
    room_text_unref(text);
    return err;
}

static inline int rig_relay(struct rooms_rig *rig, uint64_t connection, enum room_frame frame, const char *to, const char *rest)
{
    return rig_relay_numbered(rig, connection, frame, to, rest, 0);
}

static inline void rig_drop(struct rooms_rig *rig, uint64_t connection)
{
    rooms_drop(rig->rooms, (struct peer_address){ .connection = connection }, false);
}

/* The resume token in the answer to a join. */
static inline void rig_ticket(const struct rooms_rig *rig, char out[64])
{
    const char *at = strstr(rig->answer.at, "\"resume\":\"");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\"resume\":\"%63[^\"]", out), 1);
}

static inline int rig_resume(struct rooms_rig *rig, uint64_t connection, const char *room, const char *ticket, int64_t last_seq)
{
    return rig_run(rig, connection, &(struct room_call){ .order = ROOM_JOIN, .room = slice_of(room), .resume = slice_of(ticket), .has_last_seq = last_seq >= 0,
                                                         .last_seq = last_seq >= 0 ? (uint64_t)last_seq : 0 });
}

/* All that this connection was told since the last look. */
#define assert_told(rig, connection, expected) \
    do { \
        struct buf *told_ = &(rig)->told[connection]; \
        buf_add_char(told_, '\0'); \
        assert_string_equal(told_->at, expected); \
        buf_reset(told_); \
    } while (0)
#define assert_answer_has(rig, part) \
    do { \
        if (!strstr((rig)->answer.at, part)) \
            fail_msg("no %s in %s", part, (rig)->answer.at); \
    } while (0)
