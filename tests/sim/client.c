/* client.c — what a listener does: it connects, reads, says something, goes away, comes back with what it has stored. */
#include "tests/sim/line.h"
#include "tests/sim/sim.h"

#include "hub/access/access.h"
#include "hub/metrics.h"
#include "transports/protocol/sse.h"
#include "transports/protocol/ws.h"

#include <stdlib.h>

void listener_init(struct listener *r, struct sim *sim, int number, enum listener_kind kind)
{
    *r = (struct listener){ .sim = sim, .number = number, .kind = kind, .appetite = 1 << 20 };
    r->wanted = some_names(sim);
    if (kind == READ_SSE_BARE || chance(sim, 300) || r->wanted == 0)
        r->wanted = (uint16_t)(1 << dice(sim, NAMES));
    if (kind == READ_WS && chance(sim, 200))
        r->wanted = 0;
    r->person = (uint8_t)one_of(sim, 0, 0, 1, 1, 2);
    r->client = (uint8_t)dice(sim, CLIENTS + 1);
}

static void forget_connection(struct listener *r)
{
    for (size_t i = 0; i < r->n_say; i++)
        buf_fini(&r->say[i].text);
    r->n_say = r->n_awaits = r->read.n = 0;
    buf_reset(&r->in);
    r->line = NULL;
    r->come_back_ms = r->sim->mono_ms + (int64_t)dice(r->sim, 400);
}

void listener_fini(struct listener *r)
{
    forget_connection(r);
    buf_fini(&r->in);
    numbers_fini(&r->read);
}

/* ---- connecting ---- */

static void choose_position(struct listener *r)
{
    struct sim *sim = r->sim;
    r->resumes = r->has_position;
    r->asked = r->stored;
    if (r->has_position && chance(sim, 30)) {       /* a page that was reloaded */
        r->resumes = false;
    } else if (chance(sim, 15)) {
        r->resumes = true;
        r->asked = (struct position){ chance(sim, 500) ? sim->model.epoch : dice(sim, 2), sim->model.next + dice(sim, 5) };
    } else if (r->has_position && chance(sim, 60)) {   /* comes back with something older */
        r->asked.seq -= dice(sim, r->asked.seq < 20 ? r->asked.seq + 1 : 20);
    }
    if (r->asked.epoch == 0)
        r->asked.seq = 0;
    r->beginning = !r->resumes && chance(sim, 500) ? beginning_choose(sim) : (struct beginning){ 0 };
    r->head_when_asked = sim->model.head;
}

/* What they name comes beside what its URL asks for; where the channel of a message could not be told they name nothing. */
static void choose_credentials(struct listener *r)
{
    struct sim *sim = r->sim;
    bool ends = !sim->settling && chance(sim, 200);
    struct credentials credentials = {
        .person = r->person, .named = r->kind != READ_SSE_BARE && chance(sim, 200) ? (uint16_t)(1 << dice(sim, NAMES)) : 0,
        .expires_ms = ends ? (sim->wall_ms / 1000 + 1 + (int64_t)dice(sim, 10)) * 1000 : INT64_MAX,
    };
    if (r->kind != READ_SSE_BARE)
        r->wanted |= credentials.named | person_channel(r->person);
    credentials.grants = r->wanted | credentials.named | person_channel(r->person) | some_names(sim);
    if (chance(sim, 300))
        credentials.grants = UINT16_MAX;
    rights_begin(r, &credentials, r->wanted);
}

/* What its credentials bring beside what the URL names. */
static uint16_t unasked(const struct listener *r)
{
    const struct credentials *credentials = &r->rights.credentials;
    return r->kind == READ_SSE_BARE ? 0 : credentials->named | person_channel(credentials->person);
}

static void begin_connection(struct listener *r)
{
    choose_credentials(r);
    bool asks = r->asks = chance(r->sim, 400) && !has_pattern(r->wanted & ~unasked(r));
    choose_position(r);
    r->welcomed = r->begun = r->ended = r->closed = r->gap_open = r->fallen = false;
    r->gapped = 0;
    r->next_ref = 1;
    r->last = r->resumes && r->asked.epoch == r->sim->model.epoch && r->wanted ? r->asked : (struct position){ 0, 0 };
    for (int c = 0; c < NAMES; c++) {
        bool of_url = r->wanted & 1 << c;
        r->parts[c] = (struct part){ .state = of_url ? PART_LIVE : PART_OUT, .of_url = of_url };
        if (of_url && r->last.epoch)
            r->parts[c].checked = r->asked.seq;
        if (of_url && asks && !(unasked(r) & 1 << c))
            attendance_asked(r, c);
        r->parts[c].beginning = r->beginning;
        r->parts[c].head_when_asked = r->head_when_asked;
    }
}

static struct conn *open_conn(struct listener *r, struct edge *edge)
{
    struct slice channels[NAMES];
    char text[POSITION_TEXT];
    const struct credentials *credentials = &r->rights.credentials;
    struct principal *principal = credentials_principal(r->sim, credentials);
    struct stream_request request = { .channels = channels, .has_position = r->resumes, .identified = true, .principal = principal };
    for (int c = 0; c < NAMES; c++)
        if (r->wanted & ~unasked(r) & 1 << c)
            channels[request.n_channels++] = slice_of(channel_names[c]);
    request.client = slice_of(client_names[r->client]);
    request.presence = r->asks ? SLICE("true") : SLICE("");
    request.since = slice_of(r->beginning.text);
    request.position = slice(text, position_print(text, r->asked));
    if (r->resumes && r->asked.epoch == 0)
        request.position = SLICE("no position at all");
    request.format = r->kind == READ_SSE_BARE ? SLICE("bare") : SLICE("envelope");
    sim_check(r->sim, r->kind == READ_WS || sse_check(edge, &request) == 0, "an SSE stream is refused");
    struct conn *conn = r->kind == READ_WS ? ws_open(edge, r->line, &request) : sse_open(edge, r->line, &request);
    principal_unref(principal);
    return conn;
}

void listener_connect(struct listener *r)
{
    struct sim *sim = r->sim;
    int edge = (int)dice(sim, (uint64_t)sim->n_edges);
    begin_connection(r);
    r->line = line_new(sim, edge, sim->settling ? 1 << 30 : (size_t)one_of(sim, 300, 2000, 20000, 1 << 20, 1 << 20));
    sim_trace(sim, "listener %d: connects to edge %d for %x, %s %lu.%lu", r->number, edge, r->wanted,
              r->resumes ? "after" : "without",
              r->asked.epoch, r->asked.seq);
    r->line->conn = open_conn(r, sim->edges[edge]);
    sim_check(sim, r->line->conn, "no connection");
    r->silent = !sim->settling && chance(sim, 30);
    if (r->kind == READ_WS)
        happened(ws_opened);
    else
        happened(sse_opened);
}

/* ---- going away ---- */

/* What it will ask for when it is back: PROTOCOL.md, "subscribe". */
static void remember(struct listener *r)
{
    for (int c = 0; c < NAMES; c++) {
        const struct part *part = &r->parts[c];
        if (!r->welcomed || (part->of_url && !part->subscribed))
            continue;
        r->wanted &= (uint16_t)~(1 << c);
        if (part->state == PART_LIVE || (part->state == PART_ASKED && part->had))
            r->wanted |= (uint16_t)(1 << c);
        if (r->wanted & r->rights.given & 1 << c)
            happened(given_back);
        if ((part->state == PART_ASKED && part->since && part->beginning.from == FETCH_NOW) || part->state == PART_REPLAY) {
            r->again[c].wants = true;
            r->again[c].since = part->from;
            happened(replays_cut);
        }
    }
}

static void let_go(struct listener *r)
{
    if (r->kind == READ_WS)
        remember(r);
    line_let_go(r->line);
    forget_connection(r);
}

void listener_cut(struct listener *r)
{
    sim_trace(r->sim, "listener %d: cuts", r->number);
    happened(cuts);
    let_go(r);
}

void listener_lost(struct listener *r)
{
    sim_trace(r->sim, "listener %d: loses its connection", r->number);
    if (chance(r->sim, 600)) {
        r->appetite = dice(r->sim, 2 * r->line->net.len + 1);
        listener_read(r);
    }
    if (r->line)
        let_go(r);
}

/* ---- reading ---- */

void listener_read(struct listener *r)
{
    struct line *line = r->line;
    size_t n = line->net.len < r->appetite ? line->net.len : r->appetite;
    buf_add(&r->in, line->net.at, n);
    buf_drop_front(&line->net, n);
    if (n > 0 && r->kind == READ_WS)
        ws_listener_parse(r);
    else if (n > 0)
        sse_listener_parse(r);
    if (line_at_end(line)) {
        sim_trace(r->sim, "listener %d: its stream has ended", r->number);
        let_go(r);
    }
}

/* ---- saying ---- */

const struct await *listener_awaits(const struct listener *r, int ref)
{
    for (size_t i = 0; i < r->n_awaits; i++)
        if (r->awaits[i].ref == ref)
            return &r->awaits[i];
    return NULL;
}

void listener_answered(struct listener *r, int ref, unsigned answers)
{
    struct await *await = (struct await *)listener_awaits(r, ref);
    sim_check(r->sim, await, "listener %d: an answer to %d, which was not asked or answered before", r->number, ref);
    await->answers -= answers;
    if (await->answers == 0)
        *await = r->awaits[--r->n_awaits];
}

static struct buf *say(struct listener *r, const char *type, unsigned answers)
{
    int ref = r->next_ref++;
    struct said *said = &r->say[r->n_say++];
    struct buf *out = &said->text;
    *said = (struct said){ .ref = ref };
    r->awaits[r->n_awaits++] = (struct await){ .ref = ref, .answers = answers };
    buf_addf(out, "{\"type\":\"%s\",\"ref\":%d", type, ref);
    return out;
}

static struct await *newest_await(struct listener *r) { return &r->awaits[r->n_awaits - 1]; }

static uint16_t parts_in(const struct listener *r, enum part_state state)
{
    uint16_t mask = 0;
    for (int c = 0; c < NAMES; c++)
        if (r->parts[c].state == state)
            mask |= (uint16_t)(1 << c);
    return mask;
}

static void add_channels(struct buf *out, uint16_t mask)
{
    const char *comma = "";
    buf_add_str(out, ",\"channels\":[");
    for (int c = 0; c < NAMES; c++)
        if (mask & 1 << c) {
            buf_addf(out, "%s\"%s\"", comma, channel_names[c]);
            comma = ",";
        }
    buf_add_char(out, ']');
}

static struct said *newest_said(struct listener *r)   { return &r->say[r->n_say - 1]; }
static unsigned bits(uint16_t mask) { return (unsigned)__builtin_popcount(mask); }

/* `from`: of a position; else `beginning` says where. */
static void say_subscribe(struct listener *r, uint16_t mask, const struct beginning *beginning, const struct position *from)
{
    struct buf *out = say(r, "subscribe", bits(mask));
    add_channels(out, mask);
    if (beginning->from != FETCH_NOW)
        buf_addf(out, ",\"since\":\"%s\"", beginning->text);
    if (from) {
        char text[POSITION_TEXT];
        position_print(text, *from);
        buf_addf(out, ",\"since\":\"%s\"", text);
    }
    bool asks = chance(r->sim, 400) && !has_pattern(mask);
    buf_add_str(out, asks ? ",\"presence\":true}" : "}");
    newest_said(r)->what = SAYS_SUBSCRIBE;
    newest_said(r)->mask = mask;
    for (int c = 0; c < NAMES; c++)
        if (mask & 1 << c) {
            r->parts[c] = (struct part){ .state = PART_ASKED, .since = from || beginning->from != FETCH_NOW, .ref = newest_await(r)->ref,
                                         .beginning = *beginning, .together = mask, .head_when_asked = r->sim->model.head };
            r->parts[c].from = from ? *from : (struct position){ 0, 0 };
            if (asks)
                attendance_asked(r, c);
            r->parts[c].future = from && model_is_foreign(&r->sim->model, *from);
        }
    sim_trace(r->sim, "listener %d: subscribe %d to %x since %s%lu.%lu", r->number, newest_await(r)->ref, mask, beginning->text,
              from ? from->epoch : 0, from ? from->seq : 0);
    happened(subscribes);
}

static struct position some_position(struct listener *r)
{
    struct sim *sim = r->sim;
    uint64_t back = dice(sim, 40);
    struct position p = { sim->model.epoch, sim->model.head > back ? sim->model.head - back : dice(sim, 10) };
    if (chance(sim, 30))
        p = (struct position){ 0, 0 };
    if (chance(sim, 20))
        p.seq = sim->model.next + dice(sim, 10);
    return p;
}

static void act_subscribe(struct listener *r)
{
    uint16_t mask = parts_in(r, PART_OUT) & some_names(r->sim);
    struct beginning beginning = chance(r->sim, 250) ? beginning_choose(r->sim) : (struct beginning){ 0 };
    struct position from = some_position(r);
    if (mask)
        say_subscribe(r, mask, &beginning, beginning.from == FETCH_NOW && chance(r->sim, 600) ? &from : NULL);
}

static void act_again(struct listener *r)
{
    for (int c = 0; c < NAMES; c++)
        if (r->again[c].wants && r->parts[c].state == PART_OUT && r->n_say < SAY_MAX - 1 && r->n_awaits < AWAIT_MAX - 1) {
            r->again[c].wants = false;
            say_subscribe(r, (uint16_t)(1 << c), &(struct beginning){ 0 }, &r->again[c].since);
        } else if (r->again[c].wants && r->parts[c].state != PART_OUT) {
            r->again[c].wants = false;
        }
}

static void act_unsubscribe(struct listener *r)
{
    uint16_t beginning = parts_in(r, PART_REPLAY) | parts_in(r, PART_ASKED), mask = parts_in(r, PART_LIVE) & (uint16_t)dice(r->sim, 1 << NAMES);
    if (beginning && (!mask || chance(r->sim, 500)))
        mask = beginning & (uint16_t)-beginning;      /* alone: if the command is refused, this one is gone */
    if (!mask)
        return;
    struct buf *out = say(r, "unsubscribe", bits(mask));
    add_channels(out, mask);
    buf_add_char(out, '}');
    newest_said(r)->what = SAYS_UNSUBSCRIBE;
    newest_said(r)->mask = mask;
    for (int c = 0; c < NAMES; c++)
        if (mask & 1 << c) {
            r->parts[c].was_asked = r->parts[c].state == PART_ASKED;
            r->parts[c].had |= r->parts[c].state == PART_LIVE;
            r->parts[c].state = PART_LEAVING;
            r->parts[c].leave_ref = newest_await(r)->ref;
        }
    sim_trace(r->sim, "listener %d: unsubscribe from %x", r->number, mask);
}

static void act_publish(struct listener *r)
{
    uint32_t tag = ++r->sim->writer.tags;
    int channel = (int)dice(r->sim, CHANNELS);
    struct buf *out = say(r, "publish", 1);
    newest_await(r)->tag = tag;
    buf_addf(out, ",\"channel\":\"%s\",\"data\":", channel_names[channel]);
    payload_json(r->sim, tag, out);
    buf_add_char(out, '}');
    sim_trace(r->sim, "listener %d: publish %u to %s", r->number, tag, channel_names[channel]);
}

static void act_history(struct listener *r)
{
    struct buf *out = say(r, "history", 1);
    char text[POSITION_TEXT];
    position_print(text, some_position(r));
    buf_addf(out, ",\"channel\":\"%s\",\"limit\":%d", channel_names[dice(r->sim, CHANNELS)], (int)one_of(r->sim, 1, 5, 100));
    if (chance(r->sim, 700))
        buf_addf(out, ",\"since\":\"%s\"", text);
    buf_add_char(out, '}');
}

static void act_badly(struct listener *r)
{
    switch (dice(r->sim, 4)) {
    case 0:
        buf_add_str(say(r, "subscribe", 1), ",\"channels\":[\"fine\",\"not fine\"]}");
        break;
    case 2:
        buf_add_str(say(r, "subscribe", 1), ",\"channels\":[\"fine.*\",\"not.**.fine\"]}");
        break;
    case 1:
        buf_add_str(say(r, "no such thing", 1), "}");
        break;
    default:
        buf_add_str(say(r, "unsubscribe", 1), ",\"channels\":[\"never.subscribed\"]}");
    }
    newest_await(r)->bad = true;
}

void listener_act(struct listener *r)
{
    if (r->kind != READ_WS || !r->line || !r->begun || r->ended || r->n_say >= SAY_MAX - 2 || r->n_awaits >= AWAIT_MAX - 2)
        return;
    act_again(r);
    if (r->sim->settling || r->n_say >= SAY_MAX - 2)
        return;
    switch (dice(r->sim, 8)) {
    case 0: case 1: act_subscribe(r); break;
    case 2: act_unsubscribe(r); break;
    case 3: case 4: act_publish(r); break;
    case 5: act_history(r); break;
    case 6: act_badly(r); break;
    default: buf_add_str(say(r, "ping", 1), "}");
    }
}

/* The edge runs it now, unless it is closing. */
static void foresee(struct listener *r, const struct said *said)
{
    struct await *await = (struct await *)listener_awaits(r, said->ref);
    if (r->line->conn->conn_state != CONN_OPEN || said->what == SAYS_ANYTHING)
        return;
    await->refusal = said->what == SAYS_SUBSCRIBE ? rights_subscribe(r, said->mask) : rights_unsubscribe(r, said->mask);
}

void listener_speak(struct listener *r)
{
    while (r->n_say > 0 && r->line->conn && !r->line->paused && !r->line->finishing && chance(r->sim, 700)) {
        foresee(r, &r->say[0]);
        ws_on_message(r->line->conn, buf_slice(&r->say[0].text));
        buf_fini(&r->say[0].text);
        memmove(r->say, r->say + 1, --r->n_say * sizeof *r->say);
    }
}
