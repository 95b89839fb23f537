/* redis_told.c — what a seat is told: the words that bring it, in order of number, and what was missed, which is asked for. */
#include "redis/rooms/redis_rooms_core.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/metrics.h"
#include "redis/bus/redis_pack.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

enum { HELD_MOST = 1024, TOLD_LEAST = 19 };

/* ---- words that wait ---- */

static void held_free(struct held_word *word)
{
    link_remove(&word->link);
    room_text_unref(word->head);
    room_text_unref(word->rest);
    free(word);
}

void seat_forget_held(struct seat *seat)
{
    list_each(l, following, &seat->held)
        held_free(link_of(l, struct held_word, link));
    seat->n_held = 0;
}

static void hold(struct seat *seat, const struct held_word *word)
{
    struct held_word *held = seat->n_held < HELD_MOST ? malloc(sizeof *held) : NULL;
    seat->lacks |= !held;
    if (!held)
        return;
    *held = *word;
    room_text_ref(held->head);
    room_text_ref(held->rest);
    link_init(&held->link);
    list_add_last(&seat->held, &held->link);
    seat->n_held++;
}

/* ---- what it is told ---- */

/* False: there is no memory. */
bool seat_tell(struct redis_rooms *rooms, const struct seat *seat, const struct room_say *what, struct room_text *head, struct room_text *rest)
{
    struct room_say *say = malloc(sizeof *say);
    if (!say)
        return false;
    *say = *what;
    say->connection = seat_connection(seat);
    say->head = room_text_ref(head);
    say->rest = room_text_ref(rest);
    rooms_send(rooms->setup.hub, say);
    rooms->setup.wake(rooms->setup.owner);
    return true;
}

void seat_lost(struct redis_rooms *rooms, struct seat *seat, int err)
{
    struct room_close *close = calloc(1, sizeof *close);
    if (!close)
        return;      /* its pings will end it */
    close->connection = seat_connection(seat);
    close->err = err;
    seat->is_lost = true;
    rooms_close(rooms->setup.hub, close);
    rooms->setup.wake(rooms->setup.owner);
}

static struct room_text *told_head(const struct seat *seat, uint8_t by, struct slice from)
{
    struct buf head = { 0 };
    if (by == TOLD_BY_ROOM)
        return room_text_ref(seat->head);
    buf_add_slice(&head, room_text_slice(seat->head));
    buf_add_str(&head, ",\"from\":");
    if (by == TOLD_BY_MEMBER)
        buf_add_json(&head, from);
    else
        buf_add_str(&head, "null");
    return seat_text_of(&head);
}

/* An entry of told:R:U (lua/room.lua). */
struct entry {
    uint64_t     seq;
    uint8_t      type, by;
    struct slice from, rest;
};

/* 0: it is none. */
static uint64_t take_number(struct slice *rest)
{
    double number = take_double(rest);
    return number >= 0 && number <= (double)(1ull << 53) ? (uint64_t)number : 0;
}

static bool entry_read(struct slice bytes, struct entry *ret)
{
    if (bytes.len < TOLD_LEAST)
        return false;
    ret->seq = take_number(&bytes);
    take_double(&bytes);      /* when */
    ret->type = take_u8(&bytes);
    ret->by = take_u8(&bytes);
    ret->from = take_short(&bytes);
    ret->rest = bytes;
    return bytes.at && ret->type < ROOM_FRAMES;
}

bool seat_tell_entry(struct redis_rooms *rooms, struct seat *seat, struct slice bytes, bool replay, uint64_t *ret_seq)
{
    struct entry entry;
    if (!entry_read(bytes, &entry))
        return false;
    struct room_text *head = told_head(seat, entry.by, entry.from), *rest = room_text_new(entry.rest);
    bool done = head && rest && seat_tell(rooms, seat, &(struct room_say){ .seq = entry.seq, .frame = entry.type, .replay = replay }, head, rest);
    room_text_unref(head);
    room_text_unref(rest);
    *ret_seq = entry.seq;
    return done;
}

void seat_ask(struct redis_rooms *rooms, struct seat *seat)
{
    if (seat->is_lost)
        return;
    if (seat->state == SEAT_LIVE)
        seat->state = SEAT_ASKS;
    if (seat->state == SEAT_ASKS)
        list_add_last(&rooms->asking, &seat->in_asking);
}

/* When it came to its hub, by the clock of this one. */
static int64_t began_us(const struct redis_rooms *rooms, int64_t came_ms)
{
    int64_t now_us = clock_mono_us(), ago_ms = redis_nodes_server_ms(rooms->setup.nodes, now_us / 1000) - came_ms;
    return came_ms == 0 ? 0 : now_us - (ago_ms > 0 ? ago_ms : 0) * 1000;
}

static bool is_relayed(uint8_t type) { return type < ROOM_FRAME_STATE; }

static void take(struct redis_rooms *rooms, struct seat *seat, const struct held_word *word)
{
    if (seat->is_lost && seat->joining == 0)
        return;
    if (seat->number != word->number || seat->state != SEAT_LIVE) {
        if (seat->joining > 0 || seat->number == word->number)
            hold(seat, word);
        return;
    }
    if (word->seq == 0) {
        if (!seat_tell(rooms, seat, &(struct room_say){ .frame = word->type }, word->head, word->rest))
            seat_lost(rooms, seat, ERR_ROOM_LOST);
        seat_clear(seat);
    } else if (word->seq > seat->seq + 1 && !seat->is_full) {
        hold(seat, word);
        seat_ask(rooms, seat);
    } else if (word->seq > seat->seq && !seat->is_full) {
        seat->is_full = is_relayed(word->type) && !rooms_may_send(rooms->setup.hub, seat_connection(seat));
        if (seat->is_full)
            seat_ask(rooms, seat);
        else if (seat_tell(rooms, seat, &(struct room_say){ .seq = word->seq, .frame = word->type, .began_us = began_us(rooms, word->came_ms) }, word->head, word->rest))
            seat->seq = word->seq;
        else
            seat_ask(rooms, seat);
    }
}

void seat_flush(struct redis_rooms *rooms, struct seat *seat)
{
    struct link held;
    link_init(&held);
    list_move_all(&held, &seat->held);
    seat->n_held = 0;
    for (struct link *first; (first = list_first(&held));) {
        struct held_word *word = link_of(first, struct held_word, link);
        take(rooms, seat, word);
        held_free(word);
    }
    if (seat->lacks && seat->number && seat->state == SEAT_LIVE) {
        seat->lacks = false;
        seat_ask(rooms, seat);
    }
    seat_settle(rooms, seat);
    seats_ask(rooms);
}

/* ---- words ---- */

static void take_place(struct redis_rooms *rooms, struct seat *seat, struct held_word *word, uint8_t by, struct slice from)
{
    if (seat->is_gone || word->number == 0)
        return;
    if (!word->head)
        word->head = told_head(seat, by, from);
    if (word->head && word->rest) {
        take(rooms, seat, word);
        seat_settle(rooms, seat);
    } else if (seat->state == SEAT_LIVE && seat->number) {
        seat_ask(rooms, seat);
    } else {
        seat->lacks = true;      /* it may come behind what is asked */
    }
}

void seats_word(struct redis_rooms *rooms, struct slice word)
{
    enum { PLACE = 24 };
    struct held_word held = { .type = take_u8(&word) };
    uint8_t by = take_u8(&word);
    held.came_ms = (int64_t)take_double(&word);
    struct slice from = take_short(&word), room = take_short(&word);
    uint64_t n = take_u32(&word);
    struct slice places = take_bytes(&word, n * PLACE);
    if (!word.at || held.type >= ROOM_FRAMES)
        return;
    held.rest = room_text_new(word);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t connection;
        memcpy(&connection, take_bytes(&places, sizeof connection).at, sizeof connection);
        held.number = take_number(&places);
        held.seq = take_number(&places);
        struct seat *seat = seat_find(rooms, connection, room);
        if (seat)
            take_place(rooms, seat, &held, by, from);
    }
    room_text_unref(held.head);
    room_text_unref(held.rest);
    seats_ask(rooms);
}

void seats_replaced(struct redis_rooms *rooms, struct slice word)
{
    uint64_t connection;
    struct slice room, at = take_bytes(&word, sizeof connection);
    if (!word.at)
        return;
    memcpy(&connection, at.at, sizeof connection);
    room = word;
    struct seat *seat = seat_find(rooms, connection, room);
    if (seat && seat->number)
        seat_lost(rooms, seat, ERR_REPLACED);
    else if (seat)
        seat->lacks = true;      /* before the reply to its join: then it is asked who sits there */
}

/* ---- what was missed ---- */

struct batch {
    struct redis_request request;      /* first */
    struct redis_rooms  *rooms;
    struct buf           packed;
    size_t               n;
    struct { uint64_t connection; uint64_t number; bool is_full; uint8_t len; char room[ROOM_NAME_MAX]; } at[SEATS_AT_ONCE];
};

static void batch_args(struct redis_request *request, struct redis_args *args)
{
    struct batch *batch = (struct batch *)request;
    room_args(batch->rooms, args, 0, SLICE(""));
    redis_args_add(args, buf_slice(&batch->packed));
}

static void batch_add(struct batch *batch, struct seat *seat)
{
    uint64_t connection = seat_connection(seat);
    struct slice room = seat_room(seat);
    batch->at[batch->n].connection = connection;
    batch->at[batch->n].number = seat->number;
    batch->at[batch->n].is_full = seat->is_full;
    batch->at[batch->n].len = seat->name_len;
    memcpy(batch->at[batch->n].room, room.at, room.len);
    batch->n++;
    buf_add(&batch->packed, &connection, sizeof connection);
    pack_short(&batch->packed, room);
    pack_short(&batch->packed, seat_user(seat));
    pack_double(&batch->packed, (double)seat->number);
    pack_double(&batch->packed, (double)seat->seq);
    buf_add_char(&batch->packed, seat->is_full);
    seat->state = SEAT_ASKED;
    link_remove(&seat->in_asking);
}

/* What came while nobody asked, by its number; then it is sent everything. False: something is missing. */
static bool make_up(struct redis_rooms *rooms, struct seat *seat, const struct redisReply *reply)
{
    for (size_t i = 2; i < reply->elements; i++) {
        struct entry entry;
        uint64_t seq;
        bool is_next = entry_read(redis_reply_word(reply, i), &entry) && entry.seq == seat->seq + 1;
        if (!is_next || !seat_tell_entry(rooms, seat, redis_reply_word(reply, i), false, &seq))
            return false;
        seat->seq = seq;
    }
    return seat->seq == redis_reply_number(reply, 1);
}

static void settle_one(struct redis_rooms *rooms, struct seat *seat, bool was_full, const struct redisReply *reply)
{
    struct slice word = redis_reply_word(reply, 0);
    seat->state = SEAT_LIVE;
    if (slice_is(word, SLICE("gone"))) {
        seat_lost(rooms, seat, ERR_ROOM_LOST);
    } else if (slice_is(word, SLICE("else"))) {
        seat_lost(rooms, seat, ERR_REPLACED);
    } else if (slice_is(word, SLICE("more"))) {
        seat_ask(rooms, seat);
    } else if (!was_full && !make_up(rooms, seat, reply)) {
        seat_lost(rooms, seat, ERR_ROOM_LOST);
    }
    seat_flush(rooms, seat);
}

static void on_batch(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct batch *batch = (struct batch *)request;
    struct redis_rooms *rooms = batch->rooms;
    bool is_whole = !err && reply->type == REDIS_REPLY_ARRAY && reply->elements == batch->n + 1;
    for (size_t i = 0; i < batch->n; i++) {
        struct seat *seat = seat_find(rooms, batch->at[i].connection, slice(batch->at[i].room, batch->at[i].len));
        if (!seat || seat->number != batch->at[i].number || seat->state != SEAT_ASKED)
            continue;
        if (is_whole) {
            settle_one(rooms, seat, batch->at[i].is_full, reply->element[i]);
        } else {
            seat->state = SEAT_ASKS;
            list_add_last(&rooms->asking, &seat->in_asking);
        }
    }
    size_t n_known = is_whole ? redis_reply_number(reply, batch->n) : 0;
    buf_fini(&batch->packed);
    free(batch);
    rooms->asked = false;
    if (!is_whole)
        return;      /* with the next beat */
    bool is_last = rooms->counts && link_alone(&rooms->asking);
    if (is_last)
        rooms->counts = false;
    if (is_last && n_known > rooms->n_seats)
        redis_nodes_abandon(rooms->setup.nodes);      /* Redis has some that this node knows to have ended: it has lost what was said then */
    else
        seats_ask(rooms);
}

void seats_ask(struct redis_rooms *rooms)
{
    bool has_some = rooms->counts || !link_alone(&rooms->asking);
    if (rooms->asked || !has_some || !rooms_can(rooms))
        return;
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return;
    batch->request = (struct redis_request){ .script = REDIS_ROOM_SEATS, .args = batch_args, .answered = on_batch };
    batch->rooms = rooms;
    for (struct link *first; batch->n < SEATS_AT_ONCE && (first = list_first(&rooms->asking));)
        batch_add(batch, link_of(first, struct seat, in_asking));
    rooms->asked = true;
    if (batch->packed.failed || rooms_script(rooms, &batch->request))
        on_batch(&batch->request, ERR_REDIS_AWAY, NULL);
}
