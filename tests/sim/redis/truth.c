#include "tests/sim/redis/fleet.h"

#include "hub/base/first.h"
#include "redis/bus/redis_frame.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { PATIENCE_S = 20 };

const char *const names[NAMES] = { "a", "b.1", "b.2", "room", "user.ann", "off", "b.*", "**" };

bool name_matches(int name, int channel)
{
    if (name == NAMES - 1)
        return true;
    return name == CHANNELS ? channel == 1 || channel == 2 : name == channel;
}

static struct redisContext *connect_to(struct fleet *fleet)
{
    struct redisContext *c = redisConnectUnix(fleet->socket);
    fleet_check(fleet, c && !c->err, "no connection to Redis: %s", c ? c->errstr : "no memory");
    redisSetTimeout(c, (struct timeval){ PATIENCE_S, 0 });
    return c;
}

static struct redisReply *ask(struct fleet *fleet, const char *words)
{
    struct redisReply *reply = redisCommand(fleet->say, words);
    fleet_check(fleet, reply, "Redis does not answer to %s: %s", words, fleet->say->errstr);
    return reply;
}

void server_say(struct fleet *fleet, const char *words) { freeReplyObject(ask(fleet, words)); }

static long long own_id(struct fleet *fleet)
{
    struct redisReply *reply = ask(fleet, "CLIENT ID");
    fleet_check(fleet, reply->type == REDIS_REPLY_INTEGER, "no CLIENT ID");
    long long id = reply->integer;
    freeReplyObject(reply);
    return id;
}

void truth_begin(struct fleet *fleet)
{
    char subscribe[80];
    struct redisReply *reply;
    fleet->say = connect_to(fleet);
    fleet->hear = connect_to(fleet);
    snprintf(subscribe, sizeof subscribe, "PSUBSCRIBE %s:{0}:m:* truth", fleet->prefix);
    reply = redisCommand(fleet->hear, subscribe);
    fleet_check(fleet, reply, "cannot listen");
    freeReplyObject(reply);
    fleet_check(fleet, redisGetReply(fleet->hear, (void **)&reply) == REDIS_OK, "cannot listen");
    freeReplyObject(reply);
}

void truth_end(struct fleet *fleet)
{
    redisFree(fleet->say);
    redisFree(fleet->hear);
    for (size_t i = 0; i < fleet->n_epochs; i++)
        free(fleet->epochs[i].facts);
}

/* ---- what was published ---- */

static struct epoch *epoch_of(struct fleet *fleet, uint64_t number)
{
    for (size_t i = 0; i < fleet->n_epochs; i++)
        if (fleet->epochs[i].epoch == number)
            return &fleet->epochs[i];
    fleet_check(fleet, fleet->n_epochs < EPOCHS_MAX, "too many epochs");
    struct epoch *epoch = &fleet->epochs[fleet->n_epochs++];
    epoch->epoch = number;
    happened(epochs);
    fleet_trace(fleet, "truth: epoch %lu", number);
    return epoch;
}

const struct epoch *truth_of(const struct fleet *fleet, uint64_t number)
{
    for (size_t i = 0; i < fleet->n_epochs; i++)
        if (fleet->epochs[i].epoch == number)
            return &fleet->epochs[i];
    return NULL;
}

static int channel_of(const struct msg *m)
{
    for (int c = 0; c < CHANNELS; c++)
        if (slice_is(msg_channel(m), slice_of(names[c])))
            return c;
    return -1;
}

static void learn(struct fleet *fleet, struct slice frame)
{
    struct redis_sight sight;
    struct msg *m;
    if (frame.len == 0)
        return;      /* rights that were tried */
    fleet_check(fleet, redis_frame_message(frame, &sight, &m) == 0, "a frame that nobody can read");
    struct epoch *epoch = epoch_of(fleet, sight.epoch);
    int channel = channel_of(m);
    fleet_check(fleet, channel >= 0, "a message of no channel");
    fleet_check(fleet, m->seq > epoch->head, "number %lu was given, behind %lu", m->seq, epoch->head);
    if (epoch->n == epoch->cap) {
        epoch->cap = epoch->cap ? 2 * epoch->cap : 64;
        epoch->facts = realloc(epoch->facts, epoch->cap * sizeof *epoch->facts);
        fleet_check(fleet, epoch->facts, "no memory");
    }
    epoch->facts[epoch->n++] = (struct fact){ m->seq, (uint32_t)strtoul(msg_data(m).at, NULL, 10), (uint8_t)channel };
    epoch->head = m->seq;
    fleet_trace(fleet, "truth: %lu is %u in %s", m->seq, epoch->facts[epoch->n - 1].tag, names[channel]);
    msg_unref(m);
}

/* Everything up to a word of its own. */
static void hear(struct fleet *fleet)
{
    char word[40];
    snprintf(word, sizeof word, "PUBLISH truth %lu", ++fleet->token);
    server_say(fleet, word);
    for (bool end = false; !end; ) {
        struct redisReply *reply = NULL;
        fleet_check(fleet, redisGetReply(fleet->hear, (void **)&reply) == REDIS_OK, "nothing is heard of Redis: %s", fleet->hear->errstr);
        fleet_check(fleet, reply->elements == 4, "not a message");
        const struct redisReply *payload = reply->element[3];
        if (!strcmp(reply->element[1]->str, "truth"))
            end = strtoull(payload->str, NULL, 10) == fleet->token;
        else
            learn(fleet, slice(payload->str, payload->len));
        freeReplyObject(reply);
    }
}

static bool read_head(struct fleet *fleet, uint64_t *ret_epoch, uint64_t *ret_seq)
{
    char words[60];
    double seq;
    snprintf(words, sizeof words, "GET %s:{0}:head", fleet->prefix);
    struct redisReply *reply = ask(fleet, words);
    bool is_there = reply->type == REDIS_REPLY_STRING && reply->len >= 24;
    if (is_there) {
        memcpy(ret_epoch, reply->str, 8);
        memcpy(&seq, reply->str + 16, 8);
        *ret_seq = (uint64_t)seq;
    }
    freeReplyObject(reply);
    return is_there;
}

/* Until nothing has come while it listened: commands that are written already may be run in between. */
void truth_learn(struct fleet *fleet)
{
    uint64_t epoch = 0, seq = 0, epoch_before, seq_before;
    do {
        epoch_before = epoch;
        seq_before = seq;
        epoch = seq = 0;
        hear(fleet);
        if (!read_head(fleet, &epoch, &seq))
            return;
    } while (epoch != epoch_before || seq != seq_before);
    struct epoch *now = epoch_of(fleet, epoch);
    now->head = seq > now->head ? seq : now->head;
}

/* ---- answers ---- */

static bool is_above(const void *epoch, size_t i, int64_t seq) { return ((const struct epoch *)epoch)->facts[i].seq > (uint64_t)seq; }

static size_t first_above(const struct epoch *epoch, uint64_t seq) { return first_that(epoch->n, is_above, epoch, (int64_t)seq); }

const struct fact *truth_find(const struct epoch *epoch, uint64_t seq)
{
    size_t at = seq ? first_above(epoch, seq - 1) : epoch->n;
    return at < epoch->n && epoch->facts[at].seq == seq ? &epoch->facts[at] : NULL;
}

const struct fact *truth_next(const struct epoch *epoch, int name, uint64_t after, uint64_t upto)
{
    for (size_t i = first_above(epoch, after); i < epoch->n && epoch->facts[i].seq <= upto; i++)
        if (name_matches(name, epoch->facts[i].channel))
            return &epoch->facts[i];
    return NULL;
}

bool truth_gave_up(const struct fleet *fleet, const struct epoch *epoch, const struct fact *fact)
{
    size_t behind = 0;
    for (const struct fact *f = fact + 1; f < epoch->facts + epoch->n; f++)
        behind += f->channel == fact->channel;
    return behind >= config_channel_rule(&fleet->config, slice_of(names[fact->channel]))->history_size;
}

unsigned truth_count(const struct fleet *fleet, uint32_t tag, uint64_t *ret_epoch, uint64_t *ret_seq, int *ret_channel)
{
    unsigned n = 0;
    for (size_t e = 0; e < fleet->n_epochs; e++) {
        unsigned in_epoch = 0;
        for (size_t i = 0; i < fleet->epochs[e].n; i++)
            if (fleet->epochs[e].facts[i].tag == tag) {
                *ret_epoch = fleet->epochs[e].epoch;
                *ret_seq = fleet->epochs[e].facts[i].seq;
                *ret_channel = fleet->epochs[e].facts[i].channel;
                in_epoch++;
            }
        fleet_check(fleet, in_epoch <= 1, "%u was published twice in one epoch", tag);
        n += in_epoch;
    }
    return n;
}

/* ---- faults ---- */

/* One of the hubs' connections. */
void server_kill_connection(struct fleet *fleet)
{
    struct redisReply *reply = ask(fleet, "CLIENT LIST TYPE normal"), *more = ask(fleet, "CLIENT LIST TYPE pubsub");
    long long own = own_id(fleet);
    long long ids[64];
    size_t n = 0;
    for (const struct redisReply *list = reply; list; list = list == reply ? more : NULL)
        for (const char *at = list->str; at && n < 64 && (at = strstr(at, "id=")); at++) {
            long long id = strtoll(at + 3, NULL, 10);
            const char *end = strchr(at, '\n'), *two = strstr(at, "psub=2");
            bool is_ours = id == own || (two && end && two < end);      /* the listener of truth: nobody else has two patterns */
            bool is_start = at == list->str || at[-1] == '\n';
            if (is_start && !is_ours)
                ids[n++] = id;
        }
    freeReplyObject(reply);
    freeReplyObject(more);
    if (n == 0)
        return;
    char words[60];
    snprintf(words, sizeof words, "CLIENT KILL ID %lld", ids[dice(fleet, n)]);
    server_say(fleet, words);
    happened(links_killed);
}
