#include "transports/edge/edge.h"

#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/errand.h"
#include "hub/hub.h"
#include "hub/metrics.h"
#include "transports/edge/attend.h"
#include "transports/edge/batch.h"
#include "transports/edge/catchup.h"
#include "transports/edge/dwell.h"
#include "transports/edge/errand.h"
#include "transports/edge/flush.h"
#include "transports/edge/lag.h"

#include <assert.h>
#include <stdlib.h>

enum {
    COMMAND_BYTES = 4 * 1024 * 1024,     /* calls under way to the hub before connections are paused */
    ENCODED_KEPT = 64 * 1024,            /* a larger encoding buffer is given back at the next tick */
};

/* ---- life ---- */

int edge_new(const struct config *config, const struct clock *clock, struct hub *hub, struct authority *authority, bool with_fd, struct edge **ret_edge)
{
    struct edge *edge = calloc(1, sizeof *edge);
    if (!edge || mailbox_init(&edge->box, with_fd)) {
        free(edge);
        return ERR_MEMORY;
    }
    edge->config = config;
    edge->clock = clock;
    edge->authority = authority;
    edge->crowd = &edge->alone;
    edge->wheel_s = clock_mono_ms(clock) / 1000;
    edge->next_id = 1;
    edge->node = hub_node(hub);
    pool_init(&edge->pool, config->edge_pool_bytes, &edge->exclusions);
    struct link *lists[] = { &edge->dirty_feeds, &edge->dirty_conns, &edge->conns, &edge->doomed, &edge->head_wanted,
                             &edge->asking, &edge->kept, &edge->keys_waiting };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        link_init(lists[i]);
    for (int slot = 0; slot < WHEEL_SLOTS; slot++)
        link_init(&edge->wheel[slot]);
    post_init(&edge->to_hub, hub_mailbox(hub), COMMAND_BYTES);
    edge->peer = hub_add_peer(hub, &edge->box, true, config->edge_mail_bytes);
    *ret_edge = edge;
    return 0;
}

bool edge_idle(const struct edge *edge)
{
    return edge->n_conns == 0 && link_alone(&edge->doomed) && edge->calls == 0;
}

/* Frees what has nothing under way at the hub, so that only what the hub was asked for is left when the process ends. */
static void abandon(struct edge *edge)
{
    while (!link_alone(&edge->conns))
        conn_gone(link_of(edge->conns.next, struct conn, link));
    list_each(l, following, &edge->doomed) {
        struct conn *conn = link_of(l, struct conn, link);
        conn_leave(conn);
        if (conn->calls == 0)
            conn_free(conn);
    }
}

void edge_free(struct edge *edge)
{
    if (!edge)
        return;
    bool idle = edge_idle(edge);
    abandon(edge);
    batches_drop_kept(edge);
    trie_fini(&edge->patterns);
    flush_fini(edge);
    for (int format = 0; format < WIRE_FORMATS; format++)
        buf_fini(&edge->encoded[format].bytes);
    dwell_fini(edge);
    roster_fini(&edge->roster);
    tenures_fini(&edge->tenures);
    mailbox_fini(&edge->box);
    pool_fini(&edge->pool);
    if (idle)
        free(edge);
}

/* ---- calls of its own ---- */

void edge_call(struct edge *edge, struct call *call, enum letter_kind kind, size_t bytes)
{
    call->letter.kind = kind;
    call->from = edge->peer;
    edge->calls++;
    call_submit(&edge->to_hub, call, bytes);
}

void edge_heard(struct edge *edge, struct position head)
{
    if (head.epoch != edge->head.epoch || head.seq > edge->head.seq)
        edge->head = head;
}

static void on_head(struct call *call)
{
    struct edge *edge = call->owner;
    edge->calls--;
    edge->head_asked = false;
    if (call->err)
        return;
    edge_heard(edge, edge->head_call.head);
    edge->head_fresh = true;
}

void edge_ask_head(struct edge *edge)
{
    if (edge->head_asked)
        return;
    edge->head_asked = true;
    edge->head_call = (struct head_call){ .call = { .owner = edge, .answered = on_head } };
    edge_call(edge, &edge->head_call.call, CALL_HEAD, 0);
}

static void on_loss_seen(struct call *call)
{
    struct edge *edge = call->owner;
    edge->calls--;
    attend_tell_lost(edge);      /* what is said from now on is complete */
}

static void on_left(struct call *call)
{
    struct edge *edge = call->owner;
    edge->calls--;
    edge->left = true;
}

bool edge_leave(struct edge *edge)
{
    if (edge->leaving)
        return edge->left;
    edge->leaving = true;
    edge->leave_call = (struct call){ .owner = edge, .answered = on_left };
    edge_call(edge, &edge->leave_call, CALL_LEAVE, 0);
    post_flush(&edge->to_hub);
    return false;
}

/* ---- mail ---- */

/* EXACT.md 15. The hub says it again only after it has run CALL_LOSS_SEEN, whose answer comes before that. */
static void on_lost(struct edge *edge)
{
    edge->loss_call = (struct call){ .owner = edge, .answered = on_loss_seen };
    edge_call(edge, &edge->loss_call, CALL_LOSS_SEEN, 0);
    batches_tear(edge);
    feeds_lose_all(edge);      /* their readers fall back at the end of the turn, behind CALL_LOSS_SEEN */
}

static void on_drain(struct edge *edge)
{
    edge->draining = true;
    crowd_drain(edge->crowd);
    list_each(l, following, &edge->conns)
        conn_close(link_of(l, struct conn, link), ERR_DRAINING);
}

/* A message on its way to the patterns that match it. */
struct matching {
    const struct msg *m;
    bool              press;
};

static void to_pattern(void *arg, void *feed)
{
    struct matching *matching = arg;
    matching->press |= feed_message(feed, matching->m);      /* which frees no feed that is watched: the trie stays as it is */
}

/* True: so much waits that it should be sent before more mail is taken. */
static bool on_message(struct edge *edge, const struct msg *m)
{
    struct feed *feed = feed_find(edge, msg_channel(m), m->hash);
    edge_heard(edge, (struct position){ m->epoch, m->seq });
    edge->arrivals++;
    struct matching matching = { m, feed && feed_message(feed, m) };
    if (edge->patterns.count > 0)
        trie_match(&edge->patterns, msg_channel(m), to_pattern, &matching);
    return matching.press;
}

static void to_loop(struct edge *edge, struct letter *letter)
{
    if (edge->on_letter)
        edge->on_letter(edge, letter);
    else
        free(letter);
}

static bool receive(struct edge *edge, struct letter *letter)
{
    bool press = false;
    if (letter->kind < CALL_KINDS) {
        struct call *call = (struct call *)letter;
        letter_done(letter);
        call->answered(call);
        return false;
    }
    if (letter->kind == LETTER_MESSAGE) {
        struct message_letter *mail = (struct message_letter *)letter;
        press = on_message(edge, mail->msg);
        letter_done(letter);
        msg_unref(mail->msg);
        free(mail);
        return press;
    }
    letter_done(letter);
    switch (letter->kind) {
    case LETTER_LOST:
        on_lost(edge);
        break;
    case LETTER_CONFIG:
        edge->config = ((struct config_letter *)letter)->config;
        free(letter);
        batches_drop_kept(edge);
        feeds_reconfigure(edge);
        attend_all_again(edge);
        break;
    case LETTER_PURGED:
        free(letter);
        batches_drop_kept(edge);
        break;
    case LETTER_MEMBER:
        attend_tell(edge, (struct member_letter *)letter);
        principal_unref(((struct member_letter *)letter)->principal);
        free(letter);
        break;
    case LETTER_ROOM_SAY:
        dwell_say(edge, (struct room_say *)letter);
        break;
    case LETTER_ROOM_CLOSE:
        dwell_close(edge, (struct room_close *)letter);
        break;
    case LETTER_ERRAND:
        errand_do(edge, (struct errand_part *)letter);
        break;
    case LETTER_DRAIN:
        on_drain(edge);
        to_loop(edge, letter);
        break;
    default:
        to_loop(edge, letter);
    }
    return press;
}

/* ---- the end of a turn ---- */

static void fall_back(struct edge *edge)
{
    struct link *first;
    while ((first = list_first(&edge->pool.fallen))) {
        struct conn *conn = sub_of_reader(link_of(first, struct reader, link))->conn;
        if (conn->conn_state == CONN_OPEN)
            conn_fall_back(conn);
        else
            conn_leave(conn);
    }
}

static void flush_dirty(struct edge *edge)
{
    struct link *first;
    while ((first = list_first(&edge->dirty_conns))) {
        link_remove(first);
        conn_flush(link_of(first, struct conn, dirty_link));
    }
}

/* A reader of this ring that has been at the head once and is more than `most` bytes behind. */
static struct sub *overdue(const struct ring *ring, uint64_t most)
{
    for (struct chunk *c = ring ? ring->first : NULL; c && ring->end - c->base > most; c = c->next)
        for (struct link *l = c->readers.next; l != &c->readers; l = l->next) {
            struct sub *sub = sub_of_reader(link_of(l, struct reader, link));
            if (reader_lag(&sub->reader) > most && sub->conn->was_live)
                return sub;
        }
    return NULL;
}

/* After its readers had their chance: who is behind now is behind because its line takes nothing (lag.bytes). */
static void check_lag(struct feed *feed, uint64_t most)
{
    struct sub *sub;
    feed_hold(feed);
    for (int format = 0; format < WIRE_FORMATS; format++)
        while ((sub = overdue(feed->rings[format], most))) {
            struct conn *conn = sub->conn;
            conn_fell_behind(conn, feed);
            if (conn->conn_state != CONN_OPEN)
                conn_leave(conn);
        }
    feed_release(feed);
}

void edge_send(struct edge *edge)
{
    struct link settled, *first;
    edge->crowded = false;
    link_init(&settled);
    while ((first = list_first(&edge->dirty_feeds))) {
        feed_settle(link_of(first, struct feed, dirty_link));
        list_add_last(&settled, first);
    }
    fall_back(edge);
    flush_dirty(edge);
    while ((first = list_first(&settled))) {
        link_remove(first);
        struct feed *feed = link_of(first, struct feed, dirty_link);
        if (feed->rule->lag_bytes > 0)
            check_lag(feed, feed->rule->lag_bytes);
    }
    flush_dirty(edge);
}

void edge_mail(struct edge *edge)
{
    for (struct letter *letter = mailbox_take(&edge->box), *next; letter; letter = next) {
        next = letter->next;
        if (receive(edge, letter) || edge->crowded)
            edge_send(edge);
    }
}

/* Positions are told when all is sent, so that who is at the end gets the head. */
static void tell_head(struct edge *edge)
{
    struct link waiting;
    edge->head_fresh = false;
    link_init(&waiting);
    list_move_all(&waiting, &edge->head_wanted);
    while (!link_alone(&waiting))
        conn_on_head(link_of(waiting.next, struct conn, due_link));
    flush_dirty(edge);
}

static void free_doomed(struct edge *edge)
{
    list_each(l, following, &edge->doomed) {
        struct conn *conn = link_of(l, struct conn, link);
        if (conn->calls == 0)
            conn_free(conn);
    }
    if (edge->n_conns == 0)
        batches_drop_kept(edge);
}

static void count_sent(struct edge *edge)
{
    if (edge->bytes_out == 0)
        return;
    metric_add(METRIC_msgs_out, edge->msgs_out);
    metric_add(METRIC_bytes_out, (int64_t)edge->bytes_out);
    edge->msgs_out = 0;
    edge->bytes_out = 0;
}

void edge_flush(struct edge *edge)
{
    edge_send(edge);
    if (edge->head_fresh)
        tell_head(edge);
    free_doomed(edge);
    count_sent(edge);
    post_flush(&edge->to_hub);
}

/* ---- time ---- */

static void run_slot(struct link *slot, int64_t now_s)
{
    struct link due;
    link_init(&due);
    list_move_all(&due, slot);
    while (!link_alone(&due)) {
        struct conn *conn = link_of(due.next, struct conn, due_link);
        link_remove(&conn->due_link);
        if ((int64_t)conn->due_s > now_s)
            list_add_last(slot, &conn->due_link);
        else
            conn_due_in(conn, conn->protocol->due(conn));
    }
}

/* Who fell out of its ring and has not come back: its lag is not in a ring any more. */
static void check_catching_up(struct edge *edge)
{
    list_each(l, following, &edge->conns) {
        struct conn *conn = link_of(l, struct conn, link);
        if (conn->was_live && conn->conn_state == CONN_OPEN && !link_alone(&conn->catchups))
            conn_check_lag(conn);
    }
}

/* Those whose catch-up found no memory try again. */
static void feed_starved(struct edge *edge)
{
    edge->starved = false;
    list_each(l, following, &edge->conns) {
        struct conn *conn = link_of(l, struct conn, link);
        if (!conn->starved)
            continue;
        conn->starved = false;
        conn_dirty(conn);
    }
}

void edge_tick(struct edge *edge)
{
    int64_t now_ms = clock_mono_ms(edge->clock), now_s = now_ms / 1000;
    if (edge->wheel_s < now_s - WHEEL_SLOTS)
        edge->wheel_s = now_s - WHEEL_SLOTS;
    while (edge->wheel_s < now_s) {
        edge->wheel_s++;
        run_slot(&edge->wheel[edge->wheel_s % WHEEL_SLOTS], now_s);
    }
    if (!link_alone(&edge->head_wanted))
        edge_ask_head(edge);
    tenures_tick(edge);
    batches_tick(edge, now_ms);
    if (edge->starved)
        feed_starved(edge);
    if (edge->unwatch_later)
        feeds_unwatch(edge);
    if (edge->has_lag_bytes)
        check_catching_up(edge);
    for (int format = 0; format < WIRE_FORMATS; format++)
        if (edge->encoded[format].bytes.cap > ENCODED_KEPT)
            buf_fini(&edge->encoded[format].bytes);
    if (edge->dwelling.cap > ENCODED_KEPT)
        buf_fini(&edge->dwelling);
}
