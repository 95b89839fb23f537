#include "tests/sim/sim.h"

#include "hub/base/err.h"
#include "hub/base/hash.h"

#include <stdlib.h>

/* ---- payloads: {"n":17,"pad":"…"}, or the text or bytes 17 … ---- */

static void pad(struct sim *sim, struct buf *out)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789 .,:;-_";
    size_t n = (size_t)(chance(sim, sim->largest > 6000 ? 300 : 30) ? dice(sim, sim->largest) : dice(sim, 120));
    for (size_t i = 0; i < n; i++)
        buf_add_char(out, letters[(i * 7 + n) % (sizeof letters - 1)]);
}

void payload_json(struct sim *sim, uint32_t tag, struct buf *out)
{
    buf_addf(out, "{\"n\":%u,\"pad\":\"", tag);
    pad(sim, out);
    buf_add_str(out, "\"}");
}

struct msg *payload_new(struct sim *sim, uint32_t tag, int channel)
{
    enum msg_kind kind = (enum msg_kind)dice(sim, 3);
    struct buf data = { 0 };
    if (kind == MSG_JSON) {
        payload_json(sim, tag, &data);
    } else {
        buf_addf(&data, "%u ", tag);
        pad(sim, &data);
        if (kind == MSG_TEXT && chance(sim, 100))
            buf_add_str(&data, "\nid: aaaaaaab.1\r\n\r\nevent: hub.gap\r");
        if (kind == MSG_BINARY)
            buf_add(&data, "\0\xff\n", 3);
    }
    struct slice event = chance(sim, 200) ? SLICE("tick") : SLICE("");
    struct slice exclude = chance(sim, 200) ? slice_of(client_names[dice(sim, CLIENTS + 1)]) : chance(sim, 20) ? SLICE("nobody") : SLICE("");
    int64_t ttl_ms = chance(sim, 150) ? one_of(sim, 50, 300, 300, 2000, 60000) : 0;
    struct msg *m = msg_new(&(struct msg_parts){ .channel = slice_of(channel_names[channel]), .event = event, .exclude = exclude, .kind = kind,
                                                .data = buf_slice(&data), .ttl_ms = ttl_ms });
    buf_fini(&data);
    return m;
}

/* ---- calls ---- */

void writer_open(struct writer *writer)
{
    mailbox_init(&writer->box, false);
    post_init(&writer->to_hub, hub_mailbox(writer->sim->hub), SIZE_MAX);
    writer->peer = hub_add_peer(writer->sim->hub, &writer->box, false, SIZE_MAX);
    writer->under_way = 0;
}

static void send_call(struct writer *writer, struct call *call, enum letter_kind kind, void (*answered)(struct call *call))
{
    call->letter.kind = kind;
    call->from = writer->peer;
    call->owner = writer;
    call->answered = answered;
    writer->under_way++;
    call_submit(&writer->to_hub, call, 0);
}

static void publish_answered(struct call *call)
{
    struct publish_call *publish = (struct publish_call *)call;
    struct sim *sim = ((struct writer *)call->owner)->sim;
    sim_trace(sim, "writer: publish answered %d, number %lu", call->err, publish->msg->seq);
    if (!sim->dead && call->err == 0 && !publish->replayed)
        happened(published);
    if (call->err == ERR_STORE_FAILED)
        happened(publish_failed);
    if (call->err == ERR_BUSY)
        happened(publish_busy);
    if (call->err == ERR_DRAINING)
        happened(publish_draining);
    msg_unref(publish->msg);
    free(publish);
}

void writer_publish(struct writer *writer)
{
    struct sim *sim = writer->sim;
    int channel = (int)(chance(sim, 400) ? 0 : dice(sim, CHANNELS));
    struct publish_call *call = calloc(1, sizeof *call);
    call->msg = payload_new(sim, ++writer->tags, channel);
    retries_dress(&sim->retries, call);
    sim_trace(sim, "writer: publish %u to %s, %zu bytes", writer->tags, channel_names[channel], msg_size(call->msg));
    send_call(writer, &call->call, CALL_PUBLISH, publish_answered);
}

static void fetch_answered(struct call *call)
{
    struct fetch_call *fetch = (struct fetch_call *)call;
    fetch_answer_fini(fetch);
    free(fetch->channels);
    free(fetch);
}

void writer_fetch(struct writer *writer)
{
    struct sim *sim = writer->sim;
    struct fetch_call *fetch = calloc(1, sizeof *fetch);
    uint16_t names = some_names(sim);
    fetch->channels = calloc(NAMES, sizeof *fetch->channels);
    for (int c = 0; c < NAMES; c++)
        if (names & 1 << c || (c == NAMES - 1 && fetch->n_channels == 0))
            fetch->channels[fetch->n_channels++].name = slice_of(channel_names[c]);
    fetch->from = chance(sim, 600) ? FETCH_AFTER : (enum fetch_from)one_of(sim, FETCH_ALL, FETCH_LATEST, FETCH_COUNT, FETCH_TIME);
    fetch->conflates = fetch->from == FETCH_LATEST && chance(sim, 600);
    for (size_t i = 0; i < fetch->n_channels && fetch->conflates; i++)
        fetch->channels[i].whole = chance(sim, 300);
    fetch->count = 1 + (uint32_t)dice(sim, 20);
    fetch->time_ms = sim->wall_ms - (int64_t)dice(sim, 400);
    fetch->whole_after = fetch->conflates || chance(sim, 500) ? 0 : sim->model.head - dice(sim, sim->model.head < 20 ? sim->model.head + 1 : 20);
    uint64_t back = dice(sim, 30), head = hub_head(sim->hub).seq;
    fetch->after = (struct position){ chance(sim, 50) ? 99 : sim->model.epoch, head > back ? head - back : dice(sim, 50) };
    fetch->max_bytes = (size_t)one_of(sim, 1, 300, 2000, 1 << 20);
    fetch->max_count = (size_t)one_of(sim, 0, 1, 3, 100);
    send_call(writer, &fetch->call, CALL_FETCH, fetch_answered);
}

static void purge_answered(struct call *call)
{
    struct purge_call *purge = (struct purge_call *)call;
    struct sim *sim = ((struct writer *)call->owner)->sim;
    sim_trace(sim, "writer: purge of %.*s answered %d: %u up to %lu", (int)purge->channel.len, purge->channel.at, call->err, purge->removed, purge->upto.seq);
    if (!sim->dead && call->err == 0 && purge->removed > 0)
        happened(purged);
    if (call->err == ERR_STORE_FAILED)
        happened(purge_failed);
    free(purge);
}

/* All of a channel, or what came before some position. */
void writer_purge(struct writer *writer)
{
    struct sim *sim = writer->sim;
    struct purge_call *purge = calloc(1, sizeof *purge);
    uint64_t head = hub_head(sim->hub).seq, back = dice(sim, 30);
    purge->channel = slice_of(channel_names[chance(sim, 400) ? 0 : dice(sim, CHANNELS)]);
    purge->hash = hash_bytes(purge->channel);
    if (chance(sim, 400) && head > back)
        purge->before = (struct position){ chance(sim, 50) ? 99 : sim->model.epoch, chance(sim, 50) ? head + 1 : head - back };
    sim_trace(sim, "writer: purge %.*s before %lu.%lu", (int)purge->channel.len, purge->channel.at, purge->before.epoch, purge->before.seq);
    send_call(writer, &purge->call, CALL_PURGE, purge_answered);
}

static void list_answered(struct call *call)
{
    struct channels_call *list = (struct channels_call *)call;
    struct sim *sim = ((struct writer *)call->owner)->sim;
    sim_check(sim, call->err == 0 && list->n_infos <= list->limit, "a list of channels was answered %d", call->err);
    for (size_t i = 0; i < list->n_infos && !sim->dead; i++) {
        const struct channel_info *info = &list->infos[i];
        int c = channel_by_name(slice(info->name, info->name_len));
        sim_check(sim, c >= 0 && info->last.seq <= sim->model.channels[c].last, "channel %.*s has last %lu", info->name_len,
                  info->name,
                  info->last.seq);
        sim_check(sim, i == 0 || strncmp(list->infos[i - 1].name, info->name, 200) < 0, "channels are not listed by name");
    }
    happened(lists);
    free(list->infos);
    free(list);
}

void writer_list(struct writer *writer)
{
    struct channels_call *list = calloc(1, sizeof *list);
    list->limit = (size_t)one_of(writer->sim, 1, 3, 100);
    send_call(writer, &list->call, CALL_CHANNELS, list_answered);
}

static void members_answered(struct call *call)
{
    members_answer_fini((struct members_call *)call);
    free(call);
}

void writer_members(struct writer *writer, int channel)
{
    struct members_call *call = calloc(1, sizeof *call);
    call->channel = slice_of(channel_names[channel]);
    call->hash = hash_bytes(call->channel);
    call->after = chance(writer->sim, 200) ? SLICE("ann") : SLICE("");
    call->limit = (size_t)one_of(writer->sim, 0, 1, 100);
    send_call(writer, &call->call, CALL_MEMBERS, members_answered);
}

void writer_flush(struct writer *writer) { post_flush(&writer->to_hub); }

void writer_take(struct writer *writer)
{
    for (struct letter *letter = mailbox_take(&writer->box), *next; letter; letter = next) {
        next = letter->next;
        struct call *call = (struct call *)letter;
        letter_done(letter);
        if (world_settings_read(letter))
            continue;
        writer->under_way--;
        call->answered(call);
    }
}
