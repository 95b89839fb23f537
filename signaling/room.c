#include "hub/metrics.h"
#include "signaling/core.h"

#include <stdlib.h>

struct room_text *text_of(struct buf *buf)
{
    struct room_text *text = buf->failed ? NULL : room_text_new(buf_slice(buf));
    buf_fini(buf);
    return text;
}

struct room *room_find(const struct rooms *rooms, struct slice name)
{
    struct room *found = NULL;
    HASH_FIND(hh, rooms->table, name.at, name.len, found);
    return found;
}

static struct room_text *head_of(struct slice name)
{
    struct buf head = { 0 };
    buf_add_str(&head, ",\"room\":");
    buf_add_json(&head, name);
    return text_of(&head);
}

struct room *room_new(struct rooms *rooms, struct slice name)
{
    struct room *room = timer_room(rooms) ? calloc(1, sizeof *room + name.len) : NULL;
    struct room_text *head = room ? head_of(name) : NULL;
    if (!head) {
        free(room);
        return NULL;
    }
    room->rooms = rooms;
    room->head = head;
    room->name_len = (uint8_t)name.len;
    memcpy(room->name, name.at, name.len);
    link_init(&room->peers);
    room->created_ms = clock_wall_ms(rooms->clock);
    HASH_ADD_KEYPTR(hh, rooms->table, room->name, room->name_len, room);
    if (!room->hh.tbl) {
        room_text_unref(head);
        free(room);
        return NULL;
    }
    timer_init(rooms, &room->timer, false);
    rooms->n_rooms++;
    metric_add(METRIC_rooms, 1);
    return room;
}

void room_began(struct room *room) { room_event(room, EVENT_ROOM_STARTED, NULL); }

void room_free(struct room *room)
{
    struct rooms *rooms = room->rooms;
    HASH_DELETE(hh, rooms->table, room);
    timer_fini(rooms, &room->timer);
    rooms->n_rooms--;
    metric_add(METRIC_rooms, -1);
    room_text_unref(room->head);
    room_text_unref(room->metadata);
    free(room);
}

size_t room_capacity(const struct room *room)
{
    return room->has_capacity ? room->capacity : config_room_rule(room->rooms->config, room_name(room))->capacity;
}

int64_t room_empty_timeout_ms(const struct room *room)
{
    return room->has_empty_timeout ? room->empty_timeout_ms : config_room_rule(room->rooms->config, room_name(room))->empty_timeout_ms;
}

void room_mind_empty(struct room *room)
{
    int64_t stays_ms = room_empty_timeout_ms(room);
    if (room->n_peers > 0)
        timer_set(room->rooms, &room->timer, INT64_MAX);
    else if (stays_ms > 0)
        timer_set(room->rooms, &room->timer, rooms_now_ms(room->rooms) + stays_ms);
    else
        room_end(room, "empty");
}

void room_end(struct room *room, const char *reason)
{
    while (!link_alone(&room->peers))
        peer_leave_room(peer_of(room->peers.next), REASON_ENDED, SLICE(""));
    struct buf members = { 0 };
    buf_addf(&members, ",\"reason\":\"%s\"", reason);
    room_event(room, EVENT_ROOM_ENDED, &members);
    room_free(room);
}

void room_announce(struct room *room, const struct peer *not_to, enum room_frame type, struct room_text *rest)
{
    if (!rest)
        return;
    peers_each(l, following, room)
        if (peer_of(l) != not_to)
            peer_tell(peer_of(l), type, room->head, rest);
    room_text_unref(rest);
}

void room_event(const struct room *room, enum event_type type, struct buf *members)
{
    const struct rooms *rooms = room->rooms;
    struct buf data = { 0 };
    buf_add_str(&data, "{\"room\":");
    buf_add_json(&data, room_name(room));
    if (members)
        buf_add_slice(&data, buf_slice(members));
    buf_add_char(&data, '}');
    if (!data.failed && !(members && members->failed))
        rooms->out->tell(rooms->self, type, room_name(room), buf_slice(&data));
    buf_fini(&data);
    if (members)
        buf_fini(members);
}

struct peer *room_find_peer(const struct room *room, struct slice user)
{
    char key[sizeof room + USER_NAME_MAX];
    struct peer *found = NULL;
    if (user.len == 0 || user.len > USER_NAME_MAX)
        return NULL;
    memcpy(key, &room, sizeof room);
    memcpy(key + sizeof room, user.at, user.len);
    HASH_FIND(hh, room->rooms->peers, key, sizeof room + user.len, found);
    return found;
}
