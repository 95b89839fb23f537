/* relay.c — what one member says to another, to all, or of itself. A member that is away gets it later; one that cannot get it is named to
 * the sender, so nothing is lost in silence. */
#include "hub/metrics.h"
#include "signaling/core.h"

enum { BUSY_NAMED = 32 };

static void count(enum room_frame type) { metric_add((enum metric)(METRIC_relayed_OFFER + type), 1); }

/* ---- answers ---- */

static void answer_done(struct room_call *call, const struct peer *peer, size_t delivered, bool duplicate)
{
    buf_add_slice(&call->text, room_text_slice(peer->room->head));
    buf_addf(&call->text, duplicate ? ",\"duplicate\":true" : ",\"delivered\":%zu", delivered);
}

static int answer_failed(struct room_call *call, const struct peer *peer, struct slice to, int err)
{
    metric_add(err == ERR_PEER_UNAVAILABLE ? METRIC_room_unavailable : METRIC_room_busy, err == ERR_PEER_UNAVAILABLE || err == ERR_PEER_BUSY);
    buf_add_slice(&call->text, room_text_slice(peer->room->head));
    if (to.len > 0) {
        buf_add_str(&call->text, ",\"to\":");
        buf_add_json(&call->text, to);
    }
    return err;
}

/* One that comes again has been taken before, so it is as good as done. */
static bool is_duplicate(struct room_call *call, const struct peer *peer)
{
    if (!taken_is(&peer->taken, call->n))
        return false;
    answer_done(call, peer, 0, true);
    return true;
}

/* ---- to one ---- */

static int relay_to_one(struct peer *peer, struct room_call *call)
{
    struct peer *to = room_find_peer(peer->room, call->to);
    int err = to == peer ? ERR_TO_YOURSELF : !to ? ERR_PEER_UNAVAILABLE : peer_tell(to, call->frame, peer->head, call->rest);
    if (err)
        return answer_failed(call, peer, call->to, err);
    taken_add(&peer->taken, call->n);
    count(call->frame);
    answer_done(call, peer, 1, false);
    return 0;
}

/* ---- to all others ---- */

/* Those who cannot have it are named, some of them. The error is that of the first. */
struct spread {
    size_t     delivered, refused;
    int        err;
    struct buf names;
};

static void spread_to(struct spread *spread, struct peer *to, const struct peer *from, const struct room_call *call)
{
    int err = peer_tell(to, call->frame, from->head, call->rest);
    if (!err) {
        spread->delivered++;
        return;
    }
    spread->err = spread->err ? spread->err : err;
    if (spread->refused++ >= BUSY_NAMED)
        return;
    buf_add_str(&spread->names, spread->names.len > 0 ? "," : "");
    buf_add_json(&spread->names, peer_user(to));
}

static int answer_spread(struct room_call *call, struct peer *peer, struct spread *spread)
{
    int err = spread->err;
    if (spread->delivered > 0 || !err)
        taken_add(&peer->taken, call->n);      /* again it would come twice to those who have it */
    answer_done(call, peer, spread->delivered, false);
    if (err) {
        metric_add(METRIC_room_busy, 1);
        buf_addf(&call->text, ",\"to\":[%.*s]", (int)spread->names.len, buf_slice(&spread->names).at);
    }
    call->text.failed |= spread->names.failed;
    buf_fini(&spread->names);
    return err;
}

static int relay_to_all(struct peer *peer, struct room_call *call)
{
    struct spread spread = { 0 };
    peers_each(l, following, peer->room)
        if (peer_of(l) != peer)
            spread_to(&spread, peer_of(l), peer, call);
    if (spread.delivered > 0)
        count(call->frame);
    return answer_spread(call, peer, &spread);
}

int order_relay(struct rooms *rooms, struct peer_address from, struct room_call *call)
{
    int err;
    struct peer *peer = own_peer(rooms, from, call, &err);
    if (err || is_duplicate(call, peer))
        return err;
    if (call->to.len > 0)
        return relay_to_one(peer, call);
    bool needs_somebody = call->frame < ROOM_FRAME_SIGNAL;      /* an offer to nobody is a mistake, a broadcast to nobody is not */
    return peer->room->n_peers == 1 && needs_somebody ? answer_failed(call, peer, SLICE(""), ERR_PEER_UNAVAILABLE) : relay_to_all(peer, call);
}

/* ---- of itself ---- */

int order_state(struct rooms *rooms, struct peer_address from, struct room_call *call)
{
    int err;
    struct peer *peer = own_peer(rooms, from, call, &err);
    if (err || is_duplicate(call, peer))
        return err;
    bool is_none = slice_is(call->state, SLICE("null"));
    struct room_text *shows = is_none ? NULL : room_text_new(call->state);
    if (!shows && !is_none)
        return ERR_MEMORY;
    room_text_unref(peer->shows);
    peer->shows = shows;
    call->frame = ROOM_FRAME_STATE;
    return relay_to_all(peer, call);
}

/* ---- out ---- */

int order_kick(struct rooms *rooms, struct peer_address from, struct room_call *call)
{
    struct room *room = room_find(rooms, call->room);
    struct peer *peer = room ? room_find_peer(room, call->to) : NULL;
    const struct seats *seats = seats_find(rooms, from);
    if (peer && peer->seats && peer->seats == seats)
        return ERR_TO_YOURSELF;
    if (!peer)
        return ERR_PEER_UNAVAILABLE;
    buf_add_slice(&call->text, room_text_slice(room->head));
    peer_leave(peer, REASON_KICKED, call->message);
    return 0;
}
