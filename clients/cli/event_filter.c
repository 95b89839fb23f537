#include "clients/cli/event_filter.h"

#include "clients/cli/cli.h"
#include "hub/base/name.h"

/* The next word of a list; false: there is none. */
static bool next_word(struct slice *rest, struct slice *ret_word)
{
    if (!rest->at)
        return false;
    const char *comma = memchr(rest->at, ',', rest->len);
    size_t len = comma ? (size_t)(comma - rest->at) : rest->len;
    *ret_word = slice_trim(slice(rest->at, len));
    *rest = comma ? slice(comma + 1, rest->len - len - 1) : slice(NULL, 0);
    return true;
}

static bool stands_for(struct slice word, struct slice name)
{
    return slice_is(word, SLICE("*")) || (name_is_pattern(word) ? pattern_matches(word, name) : slice_is(word, name));
}

static bool stands_for_members(struct slice word)
{
    return stands_for(word, slice_of(event_type_text(EVENT_MEMBER_JOINED))) || stands_for(word, slice_of(event_type_text(EVENT_MEMBER_LEFT)));
}

/* Only endpoints that are registered are told of those. */
static bool is_in_no_stream(struct slice word)
{
    static const char *const theirs[] = { "channel.", "room.", "webhook." };
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++)
        if (slice_begins(word, slice_of(theirs[i])))
            return true;
    return false;
}

static int check_word(struct slice word, const struct cli_command *command)
{
    if (word.len > EVENT_NAME_MAX || (name_is_pattern(word) ? pattern_check(word) : event_name_check(word)))
        return cli_misused(command, "--events: \"%.*s\" is no name of an event, nor a pattern such as order.*", (int)word.len, word.at);
    if (is_in_no_stream(word))
        return cli_misused(command, "--events: %.*s is not in the hub's streams; only endpoints that are registered are told of it", (int)word.len, word.at);
    return CLI_GO_ON;
}

int event_filter_check(struct event_filter *filter, const struct cli_command *command)
{
    int done = CLI_GO_ON;
    for (size_t i = 0; i < filter->lists->n && done == CLI_GO_ON; i++) {
        struct slice rest = slice_of(filter->lists->items[i]), word;
        while (done == CLI_GO_ON && next_word(&rest, &word)) {
            done = check_word(word, command);
            filter->wants_members |= !slice_is(word, SLICE("*")) && stands_for_members(word);
        }
    }
    return done;
}

bool event_filter_lets(const struct event_filter *filter, const struct seen_event *seen)
{
    for (size_t i = 0; i < filter->lists->n; i++) {
        struct slice rest = slice_of(filter->lists->items[i]), word;
        while (next_word(&rest, &word))
            if (stands_for(word, event_type_of(seen->type, seen->msg)) || (seen->msg->event_len > 0 && stands_for(word, msg_event(seen->msg))))
                return true;
    }
    return filter->lists->n == 0;
}
