/* admin.c — what a backend asks of rooms over the API. */
#include "hub/metrics.h"
#include "signaling/core.h"

#include <stdlib.h>

/* ---- one room ---- */

static int apply(struct room *room, const struct room_changes *changes)
{
    struct room_text *metadata = NULL;
    bool is_none = changes->metadata.len == 0 || slice_is(changes->metadata, SLICE("null"));
    if (changes->has_metadata && !is_none && !(metadata = room_text_new(changes->metadata)))
        return ERR_MEMORY;
    if (changes->has_metadata) {
        room_text_unref(room->metadata);
        room->metadata = metadata;
    }
    if (changes->has_capacity) {
        room->has_capacity = changes->capacity > 0;
        room->capacity = changes->capacity;
    }
    if (changes->has_empty_timeout) {
        room->has_empty_timeout = changes->empty_timeout_ms >= 0;
        room->empty_timeout_ms = changes->empty_timeout_ms;
    }
    return 0;
}

int order_create(struct rooms *rooms, struct peer_address from, struct room_call *call)
{
    (void)from;
    if (room_find(rooms, call->room))
        return ERR_ROOM_EXISTS;
    if (rooms->n_rooms >= rooms->config->rooms_max)
        return ERR_ROOMS_FULL;
    struct room *room = room_new(rooms, call->room);
    if (!room)
        return ERR_MEMORY;
    if (apply(room, &call->changes)) {
        room_free(room);
        return ERR_MEMORY;
    }
    room_began(room);
    print_room(&call->text, room, false);
    room_mind_empty(room);
    return 0;
}

static struct room_text *metadata_text(const struct room *room)
{
    struct buf text = { 0 };
    print_text(&text, "metadata", room->metadata);
    return text_of(&text);
}

int order_change(struct rooms *rooms, struct peer_address from, struct room_call *call)
{
    struct room *room = room_find(rooms, call->room);
    (void)from;
    if (!room)
        return ERR_NOT_FOUND;
    int err = apply(room, &call->changes);
    if (err)
        return err;
    if (call->changes.has_metadata)
        room_announce(room, NULL, ROOM_FRAME_ROOM_UPDATED, metadata_text(room));
    print_room(&call->text, room, false);
    if (room->n_peers == 0 && call->changes.has_empty_timeout)
        room_mind_empty(room);
    return 0;
}

int order_remove(struct rooms *rooms, struct peer_address from, struct room_call *call)
{
    struct room *room = room_find(rooms, call->room);
    (void)from;
    if (!room)
        return ERR_NOT_FOUND;
    room_end(room, "removed");
    return 0;
}

int order_show(struct rooms *rooms, struct peer_address from, struct room_call *call)
{
    const struct room *room = room_find(rooms, call->room);
    (void)from;
    if (!room)
        return ERR_NOT_FOUND;
    print_room(&call->text, room, true);
    return 0;
}

int order_expel(struct rooms *rooms, struct peer_address from, struct room_call *call)
{
    struct room *room = room_find(rooms, call->room);
    struct peer *peer = room ? room_find_peer(room, call->to) : NULL;
    (void)from;
    if (!peer)
        return ERR_NOT_FOUND;
    peer_leave(peer, REASON_KICKED, call->message);
    return 0;
}

/* ---- a backend speaks ---- */

static struct room_text *backend_head(const struct room *room)
{
    struct buf head = { 0 };
    buf_add_slice(&head, room_text_slice(room->head));
    buf_add_str(&head, ",\"from\":null");
    return text_of(&head);
}

/* Some may have it and others not: how many have is in the answer, and it is an error only when nobody has. */
static int tell_some(struct room *room, struct room_call *call, struct room_text *head)
{
    int err = 0;
    for (size_t i = 0; i < call->n_users; i++) {
        struct peer *peer = room_find_peer(room, call->users[i]);
        int refused = peer ? peer_tell(peer, call->frame, head, call->rest) : ERR_PEER_UNAVAILABLE;
        call->delivered += !refused;
        err = refused ? refused : err;
    }
    return call->delivered > 0 ? 0 : err;
}

static int tell_all(struct room *room, struct room_call *call, struct room_text *head)
{
    int err = 0;
    peers_each(l, following, room) {
        int refused = peer_tell(peer_of(l), call->frame, head, call->rest);
        call->delivered += !refused;
        err = refused ? refused : err;
    }
    return call->delivered > 0 ? 0 : err;
}

int order_tell(struct rooms *rooms, struct peer_address from, struct room_call *call)
{
    struct room *room = room_find(rooms, call->room);
    struct room_text *head = room ? backend_head(room) : NULL;
    (void)from;
    if (!head)
        return room ? ERR_MEMORY : ERR_NOT_FOUND;
    int err = (call->n_users > 0 ? tell_some : tell_all)(room, call, head);
    if (call->delivered > 0)
        metric_add((enum metric)(METRIC_relayed_OFFER + call->frame), 1);
    room_text_unref(head);
    return err;
}

/* ---- a page ---- */

static int by_name(const void *a, const void *b)
{
    struct slice x = room_name(*(struct room *const *)a), y = room_name(*(struct room *const *)b);
    int order = memcmp(x.at, y.at, x.len < y.len ? x.len : y.len);
    return order ? order : (x.len > y.len) - (x.len < y.len);
}

static bool is_after(struct slice name, struct slice after)
{
    int order = after.len > 0 ? memcmp(name.at, after.at, name.len < after.len ? name.len : after.len) : 1;
    return order ? order > 0 : name.len > after.len;
}

/* All names are looked at for every page: an administrator asks seldom. */
int order_list(struct rooms *rooms, struct peer_address from, struct room_call *call)
{
    struct room **found = malloc((rooms->n_rooms + 1) * sizeof *found), *room, *next;
    size_t n = 0;
    (void)from;
    if (!found)
        return ERR_MEMORY;
    HASH_ITER(hh, rooms->table, room, next)
        if (slice_begins(room_name(room), call->room) && is_after(room_name(room), call->after))
            found[n++] = room;
    qsort(found, n, sizeof *found, by_name);
    call->more = n > call->limit;
    n = call->more ? call->limit : n;
    for (size_t i = 0; i < n; i++) {
        buf_add_str(&call->text, i > 0 ? "," : "");
        print_room(&call->text, found[i], false);
    }
    if (n > 0) {
        call->upto_len = found[n - 1]->name_len;
        memcpy(call->upto, found[n - 1]->name, call->upto_len);
    }
    free(found);
    return 0;
}
