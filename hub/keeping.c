#include "hub/keeping.h"

#include "hub/base/name.h"
#include "hub/config/config.h"

#include <stdlib.h>

static void add_line(struct buf *out, const struct channel_rule *rule, const char *pattern)
{
    buf_addf(out, "%c%s\n", rule_keeps(rule) ? '+' : '-', pattern);
}

static void write_text(const struct config *config, struct buf *out)
{
    buf_reset(out);
    for (size_t i = 0; i < config->rule_count; i++)
        add_line(out, &config->rules[i], config->rules[i].pattern);
    add_line(out, &config->general_rule, "**");
    if (out->failed)
        abort();
}

/* Takes the first line off; false: there is none left. */
static bool next_line(struct slice *text, bool *ret_kept, struct slice *ret_pattern)
{
    const char *end = text->len > 1 ? memchr(text->at, '\n', text->len) : NULL;
    if (!end)
        return false;
    *ret_kept = *text->at == '+';
    *ret_pattern = slice(text->at + 1, (size_t)(end - text->at) - 1);
    *text = slice(end + 1, text->len - (size_t)(end - text->at) - 1);
    return true;
}

/* What a text does not say had history: that of a store from before there was one. */
static bool had_in(struct slice text, struct slice channel)
{
    struct slice pattern;
    bool kept;
    while (next_line(&text, &kept, &pattern))
        if (pattern_matches(pattern, channel))
            return kept;
    return true;
}

static bool begins(struct slice before, const struct config *config)
{
    struct slice pattern;
    bool kept;
    while (next_line(&before, &kept, &pattern))
        if (!kept && config_pattern_keeps(config, pattern))
            return true;
    return false;
}

void keeping_init(struct keeping *keeping, const struct config *config, struct slice before, bool has_store)
{
    *keeping = (struct keeping){ .before = before };
    write_text(config, &keeping->text);
    keeping->stored = !has_store || slice_is(buf_slice(&keeping->text), before);
}

void keeping_fini(struct keeping *keeping) { buf_fini(&keeping->text); }

bool keeping_changed(struct keeping *keeping, const struct config *config)
{
    struct buf before = keeping->text;
    keeping->text = (struct buf){ 0 };
    write_text(config, &keeping->text);
    bool same = slice_is(buf_slice(&keeping->text), buf_slice(&before)), may_begin = !same && begins(buf_slice(&before), config);
    keeping->stored &= same;
    keeping->asked &= same;
    buf_fini(&before);
    return may_begin;
}

void keeping_stored(struct keeping *keeping, struct slice text)
{
    keeping->stored |= slice_is(text, buf_slice(&keeping->text));
}

bool keeping_begins(const struct keeping *keeping, const struct config *config)
{
    return !slice_is(keeping->before, buf_slice(&keeping->text)) && begins(keeping->before, config);
}

bool keeping_had(const struct keeping *keeping, struct slice channel)
{
    return slice_is(keeping->before, buf_slice(&keeping->text)) || had_in(keeping->before, channel);
}
