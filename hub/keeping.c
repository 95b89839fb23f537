#include "hub/keeping.h"

#include "hub/base/name.h"
#include "hub/config/config.h"

#include <stdlib.h>

struct line {
    bool         keeps;
    uint64_t     since;
    struct slice pattern;
};

/* Takes the first line off; false: there is none left. */
static bool next_line(struct slice *text, struct line *ret_line)
{
    const char *end = text->len > 1 ? memchr(text->at, '\n', text->len) : NULL;
    const char *space = end ? memchr(text->at, ' ', (size_t)(end - text->at)) : NULL;
    if (!space)
        return false;
    ret_line->keeps = *text->at == '+';
    ret_line->since = 0;
    slice_u64(slice(text->at + 1, (size_t)(space - text->at) - 1), &ret_line->since);
    ret_line->pattern = slice(space + 1, (size_t)(end - space) - 1);
    *text = slice(end + 1, text->len - (size_t)(end - text->at) - 1);
    return true;
}

/* The patterns of rules in order, the general one last. */
static struct slice pattern_at(const struct config *config, size_t i)
{
    return i < config->rule_count ? slice_of(config->rules[i].pattern) : SLICE("**");
}

static const struct channel_rule *rule_at(const struct config *config, size_t i)
{
    return i < config->rule_count ? &config->rules[i] : &config->general_rule;
}

/* What this pattern matches never comes as far as rule `i`. */
static bool is_caught_before(const struct config *config, size_t i, struct slice pattern)
{
    for (size_t k = 0; k < i; k++)
        if (pattern_covers(pattern_at(config, k), pattern))
            return true;
    return false;
}

/* Since when all channels of rule `i` have had history: the latest of what the lines before said about any of them. */
static uint64_t since_when(struct slice before, const struct config *config, size_t i, uint64_t next)
{
    struct slice pattern = pattern_at(config, i);
    uint64_t since = 0;
    struct line line;
    while (next_line(&before, &line)) {
        if (!pattern_overlaps(line.pattern, pattern))
            continue;
        uint64_t at = line.keeps ? line.since : next;
        if (at > since && !is_caught_before(config, i, line.pattern))
            since = at;
        if (pattern_covers(line.pattern, pattern))
            break;      /* none of them came further then */
    }
    return since;
}

/* True: some rule keeps what was not kept before. */
static bool write_text(struct slice before, const struct config *config, uint64_t next, struct buf *out)
{
    bool begins = false;
    for (size_t i = 0; i <= config->rule_count; i++) {
        bool keeps = rule_keeps(rule_at(config, i));
        uint64_t since = keeps ? since_when(before, config, i, next) : 0;
        struct slice pattern = pattern_at(config, i);
        buf_addf(out, "%c%llu %.*s\n", keeps ? '+' : '-', (unsigned long long)since, (int)pattern.len, pattern.at);
        begins |= since == next;
    }
    if (out->failed)
        abort();
    return begins;
}

bool keeping_init(struct keeping *keeping, const struct config *config, struct slice before, uint64_t next)
{
    *keeping = (struct keeping){ 0 };
    bool begins = write_text(before, config, next, &keeping->text);
    keeping->stored = slice_is(buf_slice(&keeping->text), before);
    return begins;
}

void keeping_fini(struct keeping *keeping) { buf_fini(&keeping->text); }

bool keeping_changed(struct keeping *keeping, const struct config *config, uint64_t next)
{
    struct buf before = keeping->text;
    keeping->text = (struct buf){ 0 };
    bool begins = write_text(buf_slice(&before), config, next, &keeping->text);
    if (!slice_is(buf_slice(&keeping->text), buf_slice(&before)))
        keeping->stored = keeping->asked = false;
    buf_fini(&before);
    return begins;
}

void keeping_stored(struct keeping *keeping, struct slice text)
{
    keeping->stored |= slice_is(text, buf_slice(&keeping->text));
}

bool keeping_had(const struct keeping *keeping, struct slice channel, uint64_t seq)
{
    struct slice text = buf_slice(&keeping->text);
    struct line line;
    while (next_line(&text, &line))
        if (pattern_matches(line.pattern, channel))
            return line.keeps && seq >= line.since;
    return false;
}
