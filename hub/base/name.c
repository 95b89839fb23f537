#include "hub/base/name.h"

#include "hub/base/err.h"
#include "hub/base/json.h"

static bool channel_byte(char c) { return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '*'; }

static bool id_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == ':' || c == '-';
}

static bool all(struct slice s, size_t max, bool (*byte)(char c))
{
    if (s.len == 0 || s.len > max)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!byte(s.at[i]))
            return false;
    return true;
}

int channel_name_check(struct slice name)
{
    return all(name, CHANNEL_NAME_MAX, channel_byte) ? 0 : ERR_BAD_CHANNEL;
}

int event_name_check(struct slice name)
{
    return all(name, EVENT_NAME_MAX, id_byte) && !slice_begins(name, SLICE("hub.")) ? 0 : ERR_BAD_EVENT;
}

int client_id_check(struct slice id)
{
    return all(id, CLIENT_ID_MAX, id_byte) ? 0 : ERR_BAD_CLIENT;
}

bool name_has_control(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.at[i] < 0x20 || name.at[i] == 0x7f)
            return true;
    return false;
}

int user_name_check(struct slice name)
{
    return name.len > 0 && name.len <= USER_NAME_MAX && utf8_valid(name) && !name_has_control(name) ? 0 : ERR_BAD_CLIENT;
}

/* A name that ends in a dot has an empty last segment, which is why "no segment left" is a NULL and not an empty rest. */
bool name_segment(struct slice *rest, struct slice *ret_segment)
{
    if (!rest->at)
        return false;
    const char *dot = memchr(rest->at, '.', rest->len);
    if (!dot) {
        *ret_segment = *rest;
        *rest = slice(NULL, 0);
        return true;
    }
    *ret_segment = slice(rest->at, (size_t)(dot - rest->at));
    *rest = slice(dot + 1, rest->len - ret_segment->len - 1);
    return true;
}

static int segment_check(struct slice segment, bool is_last)
{
    int err = 0;
    if (slice_is(segment, SLICE("*")))
        return 0;
    if (slice_is(segment, SLICE("**")))
        return is_last ? 0 : ERR_STARS_INSIDE;
    for (size_t i = 0; i < segment.len; i++)
        if (segment.at[i] == '*')
            err = ERR_STAR_IN_SEGMENT;
        else if (!channel_byte(segment.at[i]))
            return ERR_BAD_CHANNEL;
    return err;
}

int pattern_check(struct slice pattern)
{
    struct slice rest = pattern, segment;
    int first = 0;
    if (pattern.len == 0 || pattern.len > CHANNEL_NAME_MAX)
        return ERR_BAD_CHANNEL;
    while (name_segment(&rest, &segment)) {
        int err = segment_check(segment, !rest.at);
        if (err == ERR_BAD_CHANNEL)
            return err;
        first = first ? first : err;
    }
    return first;
}

bool pattern_matches(struct slice pattern, struct slice name)
{
    struct slice wanted, segment;
    while (name_segment(&pattern, &wanted)) {
        if (!name_segment(&name, &segment))
            return false;
        if (slice_is(wanted, SLICE("**")))
            return true;
        if (!slice_is(wanted, SLICE("*")) && !slice_is(wanted, segment))
            return false;
    }
    return !name.at;
}

bool pattern_covers(struct slice pattern, struct slice wanted)
{
    struct slice granted, segment;
    while (name_segment(&pattern, &granted)) {
        if (!name_segment(&wanted, &segment))
            return false;
        if (slice_is(granted, SLICE("**")))
            return true;
        if (slice_is(segment, SLICE("**")) || (!slice_is(granted, SLICE("*")) && !slice_is(granted, segment)))
            return false;
    }
    return !wanted.at;
}

bool pattern_overlaps(struct slice a, struct slice b)
{
    struct slice left, right;
    while (name_segment(&a, &left)) {
        if (!name_segment(&b, &right))
            return false;
        if (slice_is(left, SLICE("**")) || slice_is(right, SLICE("**")))
            return true;
        if (!slice_is(left, SLICE("*")) && !slice_is(right, SLICE("*")) && !slice_is(left, right))
            return false;
    }
    return !b.at;
}
