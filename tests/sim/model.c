#include "tests/sim/lag.h"
#include "tests/sim/sim.h"

#include "hub/base/err.h"

#include <stdlib.h>

const char *const client_names[CLIENTS + 1] = { "", "tab", "page:2", "a.client.id.of.some.length-0123456789" };

static const struct channel_rule *rule_of(const struct model *model, int c) { return sim_rule(model->sim, c); }

/* ---- history: EXACT.md 5 ---- */

static void drop(struct model *model, struct model_msg *m)
{
    struct model_channel *ch = &model->channels[m->channel];
    ch->open -= m->kept;
    m->kept = false;
    ch->dropped = larger(ch->dropped, m->seq);
    while (model->unkept_before < model->n && !model->msgs[model->unkept_before].kept && model->msgs[model->unkept_before].fate != UNDER_WAY)
        model->unkept_before++;
}

/* How many are kept of a channel (or of all: -1), their bytes, and the oldest. */
static size_t tally(struct model *model, int channel, size_t *ret_bytes, struct model_msg **ret_oldest)
{
    size_t n = 0;
    *ret_bytes = 0;
    for (size_t i = model->n; i-- > model->unkept_before;) {
        struct model_msg *m = &model->msgs[i];
        if (!m->kept || (channel >= 0 && m->channel != channel))
            continue;
        n++;
        *ret_bytes += m->size;
        *ret_oldest = m;
    }
    return n;
}

static void keep_limits(struct model *model, int c)
{
    const struct channel_rule *rule = rule_of(model, c);
    struct model_msg *oldest = NULL;
    size_t bytes, n;
    while ((n = tally(model, c, &bytes, &oldest)) > 1 && (n > rule->history_size || bytes > rule->history_bytes))
        drop(model, oldest);
}

static void keep_total(struct model *model)
{
    struct model_msg *oldest = NULL;
    size_t bytes;
    while (tally(model, -1, &bytes, &oldest) > 0 && bytes > model->sim->config.history_max_bytes)
        drop(model, oldest);
}

/* It is gone, and that is no gap. */
static void take_out(struct model *model, struct model_msg *m)
{
    model->channels[m->channel].open--;
    m->kept = false;
    happened(ended);
}

/* A message that is not kept takes what was kept before it with it: whoever comes from before it is told a gap in any case. */
static void leave_out(struct model *model, struct model_msg *m)
{
    for (size_t i = (size_t)(m - model->msgs); i-- > model->unkept_before;)
        if (model->msgs[i].kept && model->msgs[i].channel == m->channel)
            drop(model, &model->msgs[i]);
    drop(model, m);
}

static void keep(struct model *model, struct model_msg *m)
{
    if (!model_keeps(model, m->channel) || (model->sim->config.store_dir[0] && !m->row)) {
        leave_out(model, m);
        return;
    }
    if (m->ends_ms <= model->sim->wall_ms)
        return;
    m->kept = true;
    model->channels[m->channel].open++;
    if (model->unkept_before > (size_t)(m - model->msgs))
        model->unkept_before = (size_t)(m - model->msgs);
    keep_limits(model, m->channel);
    keep_total(model);
}

static void age(struct model *model)
{
    for (size_t i = model->unkept_before; i < model->n; i++)
        if (model->msgs[i].kept && model->msgs[i].ends_ms <= model->sim->wall_ms)
            take_out(model, &model->msgs[i]);
    for (size_t i = model->unkept_before; i < model->n; i++)
        if (model->msgs[i].kept && model->msgs[i].time_ms + rule_of(model, model->msgs[i].channel)->history_ttl_ms <= model->sim->wall_ms)
            drop(model, &model->msgs[i]);
}

/* ---- channels: EXACT.md 6, 7 ---- */

static bool has_nothing(const struct model *model, int c)
{
    for (int peer = 0; peer < PEERS; peer++)
        if (model->channels[c].watched[peer])
            return false;
    return model->channels[c].open == 0;
}

static void settle(struct model *model)
{
    for (int c = 0; c < CHANNELS; c++) {
        struct model_channel *ch = &model->channels[c];
        bool quiet = has_nothing(model, c);
        if (quiet && !ch->quiet)
            ch->quiet_ms = model->sim->mono_ms;
        ch->quiet = quiet;
    }
}

/* What a channel that is born now may have given up. */
static uint64_t born_at(const struct model *model, int c) { return model_keeps(model, c) ? model->floor : larger(model->floor, model->unkept); }

static void be_born(struct model *model, int c)
{
    struct model_channel *ch = &model->channels[c];
    if (!ch->known)
        ch->born = born_at(model, c);
    ch->known = true;
}

void model_tick(struct model *model)
{
    age(model);
    attendance_tick(&model->sim->attendance);
    retries_after_turn(&model->sim->retries);
    settle(model);
    for (int c = 0; c < CHANNELS; c++) {
        struct model_channel *ch = &model->channels[c];
        if (!ch->known || !ch->quiet || ch->quiet_ms + rule_of(model, c)->history_ttl_ms > model->sim->mono_ms)
            continue;
        ch->known = false;
        ch->maybe_forgotten = true;
        uint64_t *mark = model_keeps(model, c) ? &model->floor : &model->unkept;
        *mark = larger(*mark, larger(ch->dropped, ch->born));
        happened(forgotten);
    }
}

/* ---- other rules ---- */

/* What begins to be kept is kept from the next number on; what came before in channels that nobody knows may be missing. */
static void take_keeping(struct model *model, uint8_t before)
{
    model->keeping = sim_keeping(model->sim);
    uint8_t begin = model->keeping & ~before;
    for (int i = 0; i <= RULES; i++)
        if (begin & 1 << i)
            model->since[i] = model->next;
    if (begin)
        model->floor = larger(model->floor, model->under_way > 0 ? model->next - 1 : model->unkept);
}

void model_reload(struct model *model)
{
    uint8_t before = model->keeping;
    take_keeping(model, before);
    model->keeping_stored = (model->keeping_stored && before == model->keeping) || !model->sim->config.store_dir[0];
    for (size_t i = model->unkept_before; i < model->n; i++)
        if (model->msgs[i].kept && !model_keeps(model, model->msgs[i].channel))
            drop(model, &model->msgs[i]);
    for (int c = 0; c < CHANNELS; c++) {
        uint8_t bit = sim_rule_bit(c);
        model->channels[c].turned |= (before ^ model->keeping) & bit;
        keep_limits(model, c);
    }
    keep_total(model);
    settle(model);
}

/* ---- publishes: EXACT.md 1, 2 ---- */

static void check_prev(const struct model *model, const struct model_msg *mm, const struct msg *m)
{
    const struct model_channel *ch = &model->channels[mm->channel];
    uint64_t least = !model_keeps(model, mm->channel) ? 0 : ch->maybe_forgotten ? ch->dropped : ch->last;
    sim_check(model->sim, m->prev >= least && m->prev <= larger(ch->last, ch->born) && m->prev < m->seq,
              "message %lu of %s has prev %lu, at least %lu; the one before it is %lu, the channel was born at most at %lu", m->seq,
              channel_names[mm->channel], m->prev, least, ch->last, ch->born);
}

static void complete(struct model *model, struct model_msg *m)
{
    sim_check(model->sim, m->call->call.err == 0, "message %lu is committed, its publish was answered %d", m->seq,
              m->call->call.err);
    check_prev(model, m, m->call->msg);
    m->fate = DONE;
    m->call = NULL;
    model->under_way--;
    model->channels[m->channel].open--;
    model->head = m->seq;
    model->channels[m->channel].last = model->channels[m->channel].completed = m->seq;
    model->channels[m->channel].maybe_forgotten = false;
    keep(model, m);
}

static void check_number(const struct model *model, const struct msg *m)
{
    const struct sim *sim = model->sim;
    int64_t time_ms = sim->wall_ms > model->newest_ms ? sim->wall_ms : model->newest_ms;
    sim_check(sim, m->seq == model->next, "the next number is %lu, the publish got %lu", model->next, m->seq);
    sim_check(sim, m->epoch == model->epoch, "message %lu is of epoch %lu, not %lu", m->seq, m->epoch, model->epoch);
    sim_check(sim, m->time_ms == time_ms, "message %lu has time %ld, not %ld", m->seq, m->time_ms, time_ms);
}

static struct model_msg *add(struct model *model)
{
    if (model->n == model->cap) {
        model->cap = model->cap ? model->cap * 2 : 256;
        model->msgs = realloc(model->msgs, model->cap * sizeof *model->msgs);
        if (!model->msgs)
            abort();
    }
    struct model_msg *m = &model->msgs[model->n++];
    *m = (struct model_msg){ 0 };
    return m;
}

static uint8_t whom_it_excludes(const struct msg *row)
{
    for (int c = 1; c <= CLIENTS; c++)
        if (slice_is(msg_exclude(row), slice_of(client_names[c])))
            return (uint8_t)c;
    return 0;
}

static struct model_msg *add_row(struct model *model, const struct msg *row, enum fate fate)
{
    struct model_msg *m = add(model);
    m->seq = row->seq;
    m->row = fate == DONE;
    m->tag = payload_tag(msg_data(row).at, msg_data(row).len);
    m->channel = (uint8_t)channel_by_name(msg_channel(row));
    m->fate = (uint8_t)fate;
    m->size = msg_size(row);
    m->exclude = whom_it_excludes(row);
    m->time_ms = row->time_ms;
    m->ends_ms = row->ttl_ms ? row->time_ms + row->ttl_ms : INT64_MAX;
    m->firm = row->prev;
    return m;
}

static void check_refusal(const struct model *model, const struct publish_call *call)
{
    int err = call->call.err;
    sim_check(model->sim, err == ERR_BUSY || err == ERR_DRAINING, "a publish that got no number was answered %d", err);
    sim_check(model->sim, (err == ERR_DRAINING) == model->sim->draining, "a publish was answered %s", err_code(err));
    sim_check(model->sim, err != ERR_BUSY || model->sim->config.store_dir[0], "busy, without a store");
}

/* What no rule keeps goes to the store too, until that knows so. */
static bool has_row(const struct model *model, const struct msg *m)
{
    return model->sim->config.store_dir[0] && (model_keeps(model, channel_by_name(msg_channel(m))) || !model->keeping_stored);
}

/* A key waits for the store also when no history keeps its message, and what comes after it waits with it: EXACT.md 1. */
static bool waits(const struct model *model, const struct publish_call *call)
{
    const struct config *config = &model->sim->config;
    bool stores = config->store_dir[0] && config->store_sync != STORE_SYNC_OFF;
    return (stores && (has_row(model, call->msg) || idempotency_wanted(&call->key))) || model->under_way > 0;
}

static void become_newest(struct model_channel *ch, const struct model_msg *m)
{
    if (m->ends_ms == INT64_MAX)
        ch->firm = m->seq;
    ch->passing_ms = m->ends_ms == INT64_MAX ? 0 : m->ends_ms > ch->passing_ms ? m->ends_ms : ch->passing_ms;
}

static void follow(struct model_channel *ch, struct model_msg *m)
{
    m->firm = larger(ch->firm, larger(ch->dropped, ch->born));
    m->passed_ms = ch->passing_ms;
    become_newest(ch, m);
}

static void on_publish(struct model *model, struct publish_call *call)
{
    if (retries_answered(&model->sim->retries, call))
        return;
    if (call->msg->seq == 0) {
        check_refusal(model, call);
        return;
    }
    sim_check(model->sim, !model->sim->draining, "message %lu was taken while draining", call->msg->seq);
    check_number(model, call->msg);
    model->next = call->msg->seq + 1;
    model->newest_ms = call->msg->time_ms;
    struct model_msg *m = add_row(model, call->msg, UNDER_WAY);
    m->call = call;
    m->row = has_row(model, call->msg);
    model->channels[m->channel].open++;
    be_born(model, m->channel);
    model->channels[m->channel].quiet = false;
    model->channels[m->channel].submitted = m->seq;
    follow(&model->channels[m->channel], m);
    retries_numbered(&model->sim->retries, call);
    bool late = waits(model, call);
    model->under_way++;
    if (!late)
        complete(model, m);
}

/* A failure takes everything with it that was submitted before the hub heard of it. */
static void on_stored(struct model *model, const struct seen_letter *seen)
{
    if (!seen->err) {
        for (size_t i = 0; i < seen->n; i++) {
            struct model_msg *m = (struct model_msg *)model_find(model, seen->seqs[i]);
            sim_check(model->sim, m && m->fate != FAILED, "the store was given message %lu, which had failed", seen->seqs[i]);
            sim_check(model->sim, m->fate == DONE || m->group == seen->letter, "message %lu went to the store in another group", m->seq);
        }
        for (size_t i = 0; i < model->n; i++)
            if (model->msgs[i].fate == UNDER_WAY && model->msgs[i].group == seen->letter)
                complete(model, &model->msgs[i]);
        model->keeping_stored |= seen->keeping == model->keeping;
        return;
    }
    if (seen->generation < model->generations_failed)
        return;      /* it had failed with one before it: what is under way now was submitted after that */
    model->generations_failed = seen->generation + 1;
    for (size_t i = 0; i < model->n; i++) {
        struct model_msg *m = &model->msgs[i];
        if (m->fate != UNDER_WAY)
            continue;
        sim_check(model->sim, m->call->call.err == ERR_STORE_FAILED, "message %lu failed, its publish was answered %d", m->seq,
                  m->call->call.err);
        m->fate = FAILED;
        m->call = NULL;
        model->under_way--;
        model->channels[m->channel].open--;
        model->channels[m->channel].submitted = model->channels[m->channel].completed;
        retries_failed(&model->sim->retries, m->seq);
        model->head = m->seq;
    }
}

/* ---- purges: EXACT.md 5, 8 ---- */

static void take_effect(struct model *model, const struct model_purge *purge)
{
    uint32_t removed = 0;
    for (size_t i = 0; i < model->n && model->msgs[i].seq <= purge->upto; i++)
        if (model->msgs[i].channel == purge->channel && model->msgs[i].kept) {
            drop(model, &model->msgs[i]);
            removed++;
        }
    sim_check(model->sim, purge->call->call.err == 0 && purge->call->removed == removed && purge->call->upto.seq >= purge->upto,
              "a purge of %s up to %lu was answered %d: %u removed, not %u", channel_names[purge->channel], purge->upto, purge->call->call.err,
              purge->call->removed, removed);
    struct model_channel *ch = &model->channels[purge->channel];
    ch->open--;
    ch->born = larger(ch->born, purge->call->upto.seq);
}

/* What was submitted before goes, or of that what came before a position: the newest that the hub has. What is gone already has been
 * told as dropped, or was no loss. */
static uint64_t purge_upto(const struct model *model, const struct purge_call *call, int c)
{
    uint64_t upto = 0;
    for (size_t i = 0; i < model->n; i++) {
        const struct model_msg *m = &model->msgs[i];
        bool goes = call->before.epoch == 0 ? m->kept || m->fate == UNDER_WAY : m->kept && m->seq < call->before.seq;
        if (m->channel == c && goes)
            upto = m->seq;
    }
    return upto;
}

static void on_purge(struct model *model, const struct purge_call *call)
{
    int c = channel_by_name(call->channel), err = call->call.err;
    bool bad = call->before.epoch && (call->before.epoch != model->epoch || call->before.seq > model->head);
    if (err == ERR_BAD_POSITION || err == ERR_DRAINING) {
        sim_check(model->sim, err == ERR_DRAINING ? model->sim->draining : bad, "a purge was answered %d", err);
        return;
    }
    sim_check(model->sim, !bad && !model->sim->draining, "a purge of nonsense is done");
    be_born(model, c);
    model->channels[c].open++;
    model->channels[c].quiet = false;
    struct model_purge purge = { .call = call, .channel = c, .upto = purge_upto(model, call, c) };
    if (!model->sim->config.store_dir[0])
        take_effect(model, &purge);
    else if (model->n_purges < PURGES_MAX)
        model->purges[model->n_purges++] = purge;
    else
        sim_fail(model->sim, "more purges than the simulation has room for");
}

/* Those of this group; or all, when it failed and took everything with it. */
static void purges_stored(struct model *model, const struct seen_letter *seen)
{
    size_t left = 0, n = model->n_purges;
    model->n_purges = 0;
    for (size_t i = 0; i < n; i++) {
        const struct model_purge purge = model->purges[i];
        bool failed = seen->err && purge.call->call.err == ERR_STORE_FAILED;
        if (failed)
            model->channels[purge.channel].open--;
        else if (purge.group == seen->letter && !seen->err)
            take_effect(model, &purge);
        else
            model->purges[left++] = purge;
        sim_check(model->sim, failed || !seen->err || purge.group != seen->letter, "a purge of a failed group was answered %d", purge.call->call.err);
    }
    model->n_purges = left;
}
/* ---- a turn of the hub ---- */

static void see(struct model *model, struct letter *letter)
{
    sim_check(model->sim, model->n_letters < LETTERS_MAX, "more letters than the simulation has room for");
    struct seen_letter *seen = &model->letters[model->n_letters++];
    *seen = (struct seen_letter){ .letter = letter, .kind = letter->kind, .keeping = KEEPING_SAME };
    if (letter->kind == CALL_PUBLISH || letter->kind == CALL_PURGE)
        ((struct call *)letter)->err = UNANSWERED;
    if (letter->kind == LETTER_JOIN || letter->kind == LETTER_LEAVE) {
        seen->attending = calloc(1, sizeof *seen->attending);
        *seen->attending = attendance_of(letter);
    }
    if (letter->kind != LETTER_STORED)
        return;
    const struct store_group *group = (const struct store_group *)letter;
    seen->err = group->err;
    seen->generation = group->generation;
    seen->n = group->n;
    seen->keeping = keeping_bits(group->keeping);
    seen->seqs = calloc(group->n + 1, sizeof *seen->seqs);
    for (size_t i = 0; i < group->n; i++)
        seen->seqs[i] = group->msgs[i]->seq;
}

void model_before_turn(struct model *model, struct mailbox *box)
{
    model->n_letters = 0;
    for (struct letter *letter = atomic_load(&box->top); letter; letter = letter->next)
        see(model, letter);      /* newest first */
}

static void on_watch(struct model *model, const struct watch_call *call, bool watched)
{
    int c = name_find(call->channel);
    if (!is_a_pattern(c)) {
        be_born(model, c);
        model->channels[c].watched[call->call.from] = watched;
    }
    sim_check(model->sim, call->call.err == 0, "watch was answered %d", call->call.err);
    sim_check(model->sim, !watched || (call->head.epoch == model->epoch && call->head.seq == model->head),
              "watch tells head %lu, not %lu", call->head.seq, model->head);
}

static void on_letter(struct model *model, const struct seen_letter *seen)
{
    const struct head_call *head;
    switch (seen->kind) {
    case CALL_PUBLISH:
        on_publish(model, (struct publish_call *)seen->letter);
        break;
    case CALL_PURGE:
        on_purge(model, (struct purge_call *)seen->letter);
        break;
    case CALL_FETCH:
        model_check_fetch(model, (struct fetch_call *)seen->letter);
        break;
    case CALL_WATCH:
    case CALL_UNWATCH:
        on_watch(model, (struct watch_call *)seen->letter, seen->kind == CALL_WATCH);
        break;
    case CALL_HEAD:
        head = (struct head_call *)seen->letter;
        sim_check(model->sim, head->head.epoch == model->epoch && head->head.seq == model->head,
                  "the head is told as %lu, not %lu",
                  head->head.seq, model->head);
        break;
    case LETTER_STORED:
        on_stored(model, seen);
        purges_stored(model, seen);
        break;
    case LETTER_JOIN:
    case LETTER_LEAVE:
        attendance_letter(&model->sim->attendance, seen->kind, seen->attending);
        break;
    case CALL_MEMBERS:
        attendance_check_list(&model->sim->attendance, (const struct members_call *)seen->letter);
        break;
    default:
        break;
    }
}

/* What a turn has collected goes to the store as one group, all of it. */
static void see_group(struct model *model)
{
    const struct disk *disk = &model->sim->disk;
    if (model->groups == disk->submitted)
        return;
    model->groups = disk->submitted;
    for (size_t i = 0; i < model->n; i++)
        if (model->msgs[i].fate == UNDER_WAY && !model->msgs[i].group)
            model->msgs[i].group = &disk->queue[disk->n_queue - 1]->letter;
    for (size_t i = 0; i < model->n_purges; i++)
        if (!model->purges[i].group)
            model->purges[i].group = &disk->queue[disk->n_queue - 1]->letter;
}

static void check_under_way(const struct model *model)
{
    for (size_t i = 0; i < model->n; i++)
        sim_check(model->sim, model->msgs[i].fate != UNDER_WAY || model->msgs[i].call->call.err == UNANSWERED,
                  "message %lu is not committed yet, its publish was answered %d", model->msgs[i].seq, model->msgs[i].call->call.err);
}

void model_after_turn(struct model *model)
{
    age(model);
    attendance_tick(&model->sim->attendance);
    settle(model);
    while (model->n_letters > 0) {
        struct seen_letter *seen = &model->letters[--model->n_letters];
        on_letter(model, seen);
        free(seen->seqs);
        free(seen->attending);
        settle(model);
    }
    attendance_after_turn(&model->sim->attendance);
    see_group(model);
    retries_after_turn(&model->sim->retries);
    check_under_way(model);
}

/* ---- restarts: EXACT.md 3, 4, 8 ---- */

/* In the same epoch everything acknowledged is in the store, unless history had given it up; nothing that failed is. */
static void compare_rows(struct model *model, struct msg *const *rows, size_t n)
{
    size_t row = 0;
    for (size_t i = 0; i < model->n; i++) {
        struct model_msg *m = &model->msgs[i];
        while (row < n && rows[row]->seq < m->seq)
            row++;
        bool stored = row < n && rows[row]->seq == m->seq;
        bool purged = m->seq <= model->sim->disk.committed.purged[m->channel];      /* committed, and perhaps unsaid */
        sim_check(model->sim, stored || purged || m->fate != DONE || !m->kept, "message %lu was acknowledged and is not in the store",
                  m->seq);
        sim_check(model->sim, !stored || m->fate != FAILED, "message %lu failed and is in the store", m->seq);
        if (m->fate == UNDER_WAY && stored)
            happened(committed_unsaid);
        if (m->fate == UNDER_WAY)
            m->fate = stored ? DONE : FAILED;
        m->call = NULL;
        m->kept = false;
    }
}

/* The row is taken up: its channel has had history since. */
static bool goes_on(const struct model *model, const struct msg *row)
{
    int c = channel_by_name(msg_channel(row)), rule = 0;
    while (sim_rule_bit(c) != 1 << rule)
        rule++;
    return model_keeps(model, c) && row->seq >= model->since[rule];
}

/* EXACT.md 5, 8: what ended by its own ttl was not dropped, for which the hub has a second. */
static uint64_t dropped_before(const struct model *model, const struct msg *row)
{
    const struct model_msg *m = model_find(model, row->seq);
    return model->sim->wall_ms >= m->passed_ms + 1000 && m->firm < row->prev ? m->firm : row->prev;
}

static void begin_channels(struct model *model, struct msg *const *rows, size_t n)
{
    for (int c = 0; c < CHANNELS; c++) {
        struct model_channel *ch = &model->channels[c];
        const struct msg *oldest = NULL;
        *ch = (struct model_channel){ .quiet_ms = model->sim->mono_ms, .quiet = true, .turned = ch->turned };
        for (size_t i = n; i-- > 0;)
            if (channel_by_name(msg_channel(rows[i])) == c && goes_on(model, rows[i]))
                oldest = rows[i];
        uint64_t purged = model->sim->disk.committed.purged[c];
        ch->known = oldest || purged;
        ch->born = larger(purged, oldest ? dropped_before(model, oldest) : purged ? born_at(model, c) : 0);
        for (size_t i = 0; i < model->n; i++)
            if (model->msgs[i].channel == c && model->msgs[i].fate == DONE) {
                ch->last = oldest ? model->msgs[i].seq : 0;
                if ((!oldest || model->msgs[i].seq < oldest->seq) && model->msgs[i].ends_ms > model->sim->latest_ms)
                    ch->dropped = model->msgs[i].seq;
            }
        sim_check(model->sim, oldest || !model_keeps(model, c) || larger(model->floor, purged) >= ch->dropped,
                  "nothing of %s is in the store, its last message was %lu, the floor is %lu", channel_names[c], ch->dropped, model->floor);
        sim_check(model->sim, !oldest || oldest->prev >= ch->dropped,
                  "the oldest row of %s has prev %lu, but there was %lu before it",
                  channel_names[c], oldest->prev, ch->dropped);
    }
}

/* A row that does not follow the one before it in its channel: what lies between is nowhere, so what lies before is of no use.
 * (With store.sync off a failed group leaves such a hole.) */
static void restore_row(struct model *model, const struct msg *row, uint64_t *before)
{
    struct model_msg *m = (struct model_msg *)model_find(model, row->seq);
    struct model_channel *ch = &model->channels[m->channel];
    model->newest_ms = row->time_ms > model->newest_ms ? row->time_ms : model->newest_ms;
    if (!goes_on(model, row))
        return;
    if (before[m->channel] > 0 && row->prev > before[m->channel]) {
        for (size_t i = model->unkept_before; i < model->n; i++)
            if (model->msgs[i].kept && model->msgs[i].channel == m->channel)
                drop(model, &model->msgs[i]);
        ch->born = larger(ch->born, row->prev);
    }
    before[m->channel] = row->seq;
    ch->submitted = ch->completed = row->seq;
    become_newest(ch, m);
    keep(model, m);
}

static int64_t newest_key_ms(const struct disk_image *image)
{
    int64_t newest = 0;
    for (size_t i = 0; i < image->n_keys; i++)
        newest = image->keys[i].time_ms > newest ? image->keys[i].time_ms : newest;
    return newest;
}

void model_restart(struct model *model, const struct hub_start *start, struct msg *const *rows, size_t n, bool same_epoch)
{
    sim_check(model->sim, !same_epoch || start->next >= model->next, "numbers go on at %lu, but %lu was given", start->next,
              model->next - 1);
    retries_restart(&model->sim->retries, &model->sim->disk.committed, same_epoch);
    model->under_way = 0;
    model->generations_failed = 0;
    model->n_purges = 0;
    if (same_epoch)
        compare_rows(model, rows, n);
    else
        model->n = 0;
    for (size_t i = 0; i < n && !same_epoch; i++)
        add_row(model, rows[i], DONE);
    model->epoch = start->epoch;
    model->next = start->next;
    model->head = start->next - 1;
    model->floor = start->floor;
    model->unkept = model->head;
    uint8_t kept = start->keeping.len ? keeping_bits(start->keeping) : ALL_KEEP;
    memset(model->since, 0, sizeof model->since);
    keeping_since(start->keeping, model->since);
    take_keeping(model, kept);
    model->keeping_stored = !model->sim->config.store_dir[0] || (start->keeping.len && kept == model->keeping);
    model->newest_ms = newest_key_ms(&model->sim->disk.committed);
    model->unkept_before = 0;
    begin_channels(model, rows, n);
    uint64_t before[CHANNELS] = { 0 };
    for (size_t i = 0; i < n; i++)
        restore_row(model, rows[i], before);
    settle(model);
}

void model_fini(struct model *model)
{
    free(model->msgs);
}
