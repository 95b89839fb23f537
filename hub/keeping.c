#include "hub/keeping.h"

#include "hub/base/name.h"
#include "hub/config/config.h"

#include <stdlib.h>

/* ---- the text ---- */

/* Takes the first line off, without its end; false: there is none left. */
static bool next_line(struct slice *text, struct slice *ret_line)
{
    const char *end = text->len > 0 ? memchr(text->at, '\n', text->len) : NULL;
    if (!end)
        return false;
    *ret_line = slice(text->at, (size_t)(end - text->at));
    *text = slice(end + 1, text->len - ret_line->len - 1);
    return true;
}

/* Takes the first rules off that held: from which number on, and their lines. */
static bool next_rules(struct slice *text, uint64_t *ret_from, struct slice *ret_rules)
{
    struct slice line, rest = *text;
    if (!next_line(&rest, &line) || line.len < 2 || *line.at != '@' || !slice_u64(slice(line.at + 1, line.len - 1), ret_from))
        return false;
    const char *begin = rest.at;
    while (rest.len > 0 && *rest.at != '@' && next_line(&rest, &line)) { }
    *ret_rules = slice(begin, (size_t)(rest.at - begin));
    *text = rest;
    return true;
}

static struct slice last_rules(struct slice text)
{
    struct slice rules = SLICE("");
    uint64_t from;
    while (next_rules(&text, &from, &rules)) { }
    return rules;
}

/* One rule of a text. */
static bool next_rule(struct slice *rules, bool *ret_keeps, struct slice *ret_pattern)
{
    struct slice line;
    if (!next_line(rules, &line) || line.len < 2)
        return false;
    *ret_keeps = *line.at == '+';
    *ret_pattern = slice(line.at + 1, line.len - 1);
    return true;
}

static void add_rule(struct buf *out, const struct channel_rule *rule, const char *pattern)
{
    buf_addf(out, "%c%s\n", rule_keeps(rule) ? '+' : '-', pattern);
}

static void add_rules(struct buf *out, const struct config *config)
{
    for (size_t i = 0; i < config->rule_count; i++)
        add_rule(out, &config->rules[i], config->rules[i].pattern);
    add_rule(out, &config->general_rule, "**");
}

static bool keeps_in(struct slice rules, struct slice channel)
{
    struct slice pattern;
    bool keeps;
    while (next_rule(&rules, &keeps, &pattern))
        if (pattern_matches(pattern, channel))
            return keeps;
    return false;
}

/* ---- what begins ---- */

/* Nothing that `wanted` matches comes as far as the rule that begins at `end`. */
static bool is_caught_before(struct slice rules, const char *end, struct slice wanted)
{
    struct slice pattern;
    bool keeps;
    while (rules.at < end && next_rule(&rules, &keeps, &pattern))
        if (pattern_covers(pattern, wanted))
            return true;
    return false;
}

/* May a channel that this rule of `before` kept nothing of be kept by a rule of `now`? */
static bool begins_below(struct slice before, const char *off, struct slice off_pattern, struct slice now)
{
    struct slice rest = now, pattern;
    bool keeps;
    for (const char *at = rest.at; next_rule(&rest, &keeps, &pattern); at = rest.at)
        if (keeps && pattern_overlaps(pattern, off_pattern) && !is_caught_before(before, off, pattern) && !is_caught_before(now, at, off_pattern))
            return true;
    return false;
}

static bool begins(struct slice before, struct slice now)
{
    struct slice rest = before, pattern;
    bool keeps;
    for (const char *at = rest.at; next_rule(&rest, &keeps, &pattern); at = rest.at)
        if (!keeps && begins_below(before, at, pattern, now))
            return true;
    return false;
}

/* ---- one after the other ---- */

static void forget_oldest(struct buf *text)
{
    struct slice rest = buf_slice(text), rules;
    uint64_t from;
    size_t n = 0;
    while (next_rules(&rest, &from, &rules))
        n++;
    for (rest = buf_slice(text); (n > KEEPING_CHANGES || rest.len > KEEPING_BYTES) && n > 1; n--)
        next_rules(&rest, &from, &rules);
    buf_drop_front(text, text->len - rest.len);
}

/* Adds what holds from `next` on; false: that is nothing new. */
static bool add_change(struct buf *text, const struct config *config, uint64_t next, bool *ret_begins)
{
    struct buf now = { 0 };
    struct slice before = last_rules(buf_slice(text));
    add_rules(&now, config);
    bool same = slice_is(before, buf_slice(&now));
    *ret_begins = !same && begins(before, buf_slice(&now));
    if (!same) {
        buf_addf(text, "@%llu\n", (unsigned long long)next);
        buf_add_slice(text, buf_slice(&now));
        forget_oldest(text);
    }
    if (now.failed || text->failed)
        abort();
    buf_fini(&now);
    return !same;
}

bool keeping_init(struct keeping *keeping, const struct config *config, struct slice before, uint64_t next)
{
    *keeping = (struct keeping){ 0 };
    buf_add_slice(&keeping->text, before.len > 0 ? before : SLICE("@0\n+**\n"));
    bool may_begin;
    add_change(&keeping->text, config, next, &may_begin);
    keeping->stored = slice_is(buf_slice(&keeping->text), before);
    return may_begin;
}

void keeping_fini(struct keeping *keeping) { buf_fini(&keeping->text); }

bool keeping_changed(struct keeping *keeping, const struct config *config, uint64_t next)
{
    bool may_begin;
    if (add_change(&keeping->text, config, next, &may_begin))
        keeping->stored = keeping->asked = false;
    return may_begin;
}

void keeping_stored(struct keeping *keeping, struct slice text)
{
    keeping->stored |= slice_is(text, buf_slice(&keeping->text));
}

bool keeping_had(const struct keeping *keeping, struct slice channel, uint64_t seq)
{
    struct slice text = buf_slice(&keeping->text), rules;
    uint64_t from;
    bool had = false;
    while (next_rules(&text, &from, &rules))
        had = from <= seq ? keeps_in(rules, channel) : had && keeps_in(rules, channel);
    return had;
}
