/* room_json.h — rooms and their members as JSON, for whoever keeps them: signaling/ for one hub, redis/ for several.
 *
 * Texts that are JSON already may be empty: null. Threading: pure functions. */
#pragma once
#include "hub/rooms/room_taken.h"
#include "hub/rooms/room_ticket.h"

struct config;

/* `"user_id":…,"info":…,"state":…` */
void room_json_who(struct buf *out, struct slice user, struct slice info, struct slice state);
/* `,"info":…` */
void room_json_member(struct buf *out, const char *member, struct slice json);

struct room_shown {
    struct slice name, metadata;
    uint64_t     members, away, capacity;
    int64_t      empty_timeout_ms, grace_ms, created_ms;
};
/* `{"room":…,"metadata":…`, to be ended by the caller. */
void room_json_shown(struct buf *out, const struct room_shown *room);
/* One of its members: `{"user_id":…,"away":…,"since":…}`. */
void room_json_shown_user(struct buf *out, struct slice user, struct slice info, struct slice state, bool is_away, int64_t since_ms);

/* Of users-in-room, what concerns the member itself. */
struct room_you {
    struct slice         user, metadata;
    const struct ticket *ticket;
    struct room_taken    taken;
    uint64_t             seq;
    bool                 resumed, recovered;
};
/* `,"you":…` and all that follows, with the servers (ice.h). */
void room_json_you(struct buf *out, const struct config *config, const struct room_you *you, int64_t wall_ms);
