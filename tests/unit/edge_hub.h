/* edge_hub.h — the scripted hub of an edge world: a mailbox and an array of messages per channel.
 *
 * It stands in for hub/ itself (hub_mailbox, hub_add_peer, hub_node, fetch_answer_fini are defined here). Calls are answered in order, when the test
 * lets it run; what is published is mailed when the test says so; history is given up, and mail lost, on request. */
#pragma once
#include "tests/unit/edge_state.h"

#include "hub/errand.h"

struct hub;
struct mailbox *hub_mailbox(struct hub *hub) { (void)hub; return &world->box; }

uint8_t hub_add_peer(struct hub *hub, struct mailbox *box, bool is_edge, size_t mail_bytes)
{
    (void)hub;
    assert_true(is_edge);
    post_init(&world->to_edge, box, mail_bytes);
    return 3;
}

uint64_t hub_node(const struct hub *hub) { (void)hub; return 0; }

void fetch_answer_fini(struct fetch_call *fetch)
{
    for (size_t i = 0; i < fetch->n_msgs; i++)
        msg_unref(fetch->msgs[i]);
    free(fetch->msgs);
    fetch->msgs = NULL;
    fetch->n_msgs = 0;
}

static struct channel_model *channel(struct slice name) { return &world->channels[name.at[0] - 'a']; }

static struct msg *next_after(const struct channel_model *ch, uint64_t seq)
{
    for (uint32_t i = ch->n; i > 0; i--)
        if (ch->msgs[i - 1]->seq <= seq)
            return i < ch->n ? ch->msgs[i] : NULL;
    return ch->n ? ch->msgs[0] : NULL;
}

static void mail_message(struct msg *m)
{
    if (world->lost)
        return;
    if (world->full) {
        world->loss = (struct letter){ .kind = LETTER_LOST };
        world->lost = true;
        post_put(&world->to_edge, &world->loss, 0);
        return;
    }
    struct message_letter *letter = malloc(sizeof *letter);
    letter->letter.kind = LETTER_MESSAGE;
    letter->msg = msg_ref(m);
    post_put(&world->to_edge, &letter->letter, msg_size(m));
}

static void publish_len(char name, size_t len, bool mailed)
{
    static char bytes[300 * 1024];
    struct channel_model *ch = &world->channels[name - 'a'];
    memset(bytes, 'x', len);
    struct msg *m = msg_new(&(struct msg_parts){ .channel = slice(&name, 1), .kind = MSG_TEXT, .data = slice(bytes, len) });
    m->epoch = EPOCH;
    m->seq = ++world->head;
    m->prev = ch->last;
    ch->last = m->seq;
    assert_true(ch->n < MESSAGES);
    ch->msgs[ch->n++] = m;
    if (ch->subscribers && mailed)
        mail_message(m);
}
static inline void publish(char name) { publish_len(name, 10, true); }

/* "aba": a, b and a again. */
static inline void publish_each(const char *names)
{
    for (; *names; names++)
        publish(*names);
}

/* History of the channel keeps only the newest `keep`. */
static inline void forget(char name, uint32_t keep)
{
    struct channel_model *ch = &world->channels[name - 'a'];
    if (ch->n > keep && ch->msgs[ch->n - keep - 1]->seq > ch->dropped)
        ch->dropped = ch->msgs[ch->n - keep - 1]->seq;
}

static int by_seq(const void *a, const void *b)
{
    const struct msg *x = *(struct msg *const *)a, *y = *(struct msg *const *)b;
    return x->seq < y->seq ? -1 : 1;
}

/* The newest kept message of a channel is given, all before it are left out. */
static bool is_left_out(const struct fetch_call *call, const struct fetch_channel *asked, const struct channel_model *ch, uint32_t i)
{
    return call->from == FETCH_LATEST && !asked->whole && i + 1 < ch->n;
}

static void mark_left_out(struct fetch_call *call, struct fetch_channel *asked, const struct msg *m)
{
    if (!call->conflates || m->seq <= asked->dropped)
        return;
    asked->dropped = m->seq;
    asked->incomplete = true;
    if (call->gap < GAP_CONFLATED)
        call->gap = GAP_CONFLATED;
}

/* History has given up something: of a channel whose newest message follows that is conflation. */
static void mark_given_up(struct fetch_call *call, struct fetch_channel *asked, const struct channel_model *ch)
{
    bool newest_follows = call->from == FETCH_LATEST && !asked->whole && ch->last > ch->dropped && ch->last > call->after.seq;
    enum gap_reason reason = newest_follows ? GAP_CONFLATED : GAP_HISTORY;
    asked->dropped = ch->dropped;
    asked->incomplete = world->resumable && (call->from == FETCH_AFTER || call->conflates) && call->after.seq < ch->dropped;
    if (asked->incomplete && call->gap < reason)
        call->gap = reason;
}

/* What hub/fetch.c promises, by collecting and sorting. */
static void run_fetch(struct fetch_call *call)
{
    bool foreign = call->from == FETCH_AFTER && (call->after.epoch != EPOCH || call->after.seq > world->head);
    size_t n = 0, bytes = 0;
    struct msg **all = malloc(sizeof *all * CHANNELS * MESSAGES);
    for (size_t i = 0; i < call->n_channels; i++) {
        struct channel_model *ch = channel(call->channels[i].name);
        struct fetch_channel *asked = &call->channels[i];
        uint64_t after = (call->from == FETCH_AFTER && !foreign) || call->from == FETCH_LATEST ? call->after.seq : 0;
        asked->resumable = world->resumable;
        asked->loses = !world->resumable;
        mark_given_up(call, asked, ch);
        if (foreign && world->resumable)
            asked->incomplete = true, call->gap = GAP_EPOCH;
        for (uint32_t j = 0; j < ch->n && call->from != FETCH_NOW && world->resumable; j++)
            if (ch->msgs[j]->seq > after && is_left_out(call, asked, ch, j))
                mark_left_out(call, asked, ch->msgs[j]);
            else if (ch->msgs[j]->seq > after && ch->msgs[j]->seq > ch->dropped)
                all[n++] = ch->msgs[j];
    }
    qsort(all, n, sizeof *all, by_seq);
    call->msgs = malloc(sizeof *all * (n + 1));
    for (size_t i = 0; i < n; i++) {
        bytes += msg_size(all[i]);
        if (i > 0 && bytes > call->max_bytes) {
            call->more = true;
            break;
        }
        call->msgs[call->n_msgs++] = msg_ref(all[i]);
    }
    uint64_t upto = call->more ? call->msgs[call->n_msgs - 1]->seq : world->head;
    uint64_t begin = call->from == FETCH_AFTER && !foreign && !call->gap ? call->after.seq : call->n_msgs ? call->msgs[0]->seq - 1 : upto;
    call->upto = (struct position){ EPOCH, upto };
    call->begin = (struct position){ EPOCH, begin };
    free(all);
}

static void run_call(struct letter *letter)
{
    static const char names[] = "PFCWUHL";
    struct call *call = (struct call *)letter;
    assert_int_equal(call->from, 3);
    world->calls[letter->kind]++;
    buf_add_char(&world->order, names[letter->kind]);
    call->err = world->fail && world->fail_kind == letter->kind ? world->fail : 0;
    if (call->err)
        world->fail = 0;
    else if (letter->kind == CALL_FETCH)
        run_fetch((struct fetch_call *)letter);
    else if (letter->kind == CALL_HEAD)
        ((struct head_call *)letter)->head = (struct position){ EPOCH, world->head };
    else if (letter->kind == CALL_LOSS_SEEN)
        world->lost = false;
    else if (letter->kind == CALL_WATCH || letter->kind == CALL_UNWATCH) {
        struct watch_call *watch = (struct watch_call *)letter;
        channel(watch->channel)->subscribers = letter->kind == CALL_WATCH ? watch->subscribers : NULL;
        watch->head = (struct position){ EPOCH, world->head };
    }
    letter_done(letter);
    post_put(&world->to_edge, letter, 0);
}

/* Runs up to `max` of the calls that have come, in order; what it mails waits for hub_send_mail. */
static void hub_run(uint32_t max)
{
    for (struct letter *l = mailbox_take(&world->box); l;) {
        struct letter *next = l->next;
        l->next = NULL;
        *world->queue_end = l;
        world->queue_end = &l->next;
        l = next;
    }
    for (; max > 0 && world->queue; max--) {
        struct letter *l = world->queue;
        if (!(world->queue = l->next))
            world->queue_end = &world->queue;
        run_call(l);
    }
}
static void hub_send_mail(void) { post_flush(&world->to_edge); }
