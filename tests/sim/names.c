#include "tests/sim/sim.h"

const char *const channel_names[NAMES] = {
    "a", "b.1", "b.2", "room/5", "x:y", "user.ann", "user.bob", "long.name.of.a.channel.with.many.segments",
    "*", "b.*", "user.**", "**",
};

enum { ALL_CHANNELS = (1 << CHANNELS) - 1 };

/* Of each pattern: the channels it matches, and the patterns that match nothing else. */
static const struct { uint16_t channels, patterns; } patterns[PATTERNS] = {
    { 1 << 0 | 1 << 3 | 1 << 4, 1 << 8 },
    { 1 << 1 | 1 << 2,          1 << 9 },
    { 1 << 5 | 1 << 6,          1 << 10 },
    { ALL_CHANNELS,             1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 },
};

static int find(struct slice name, int n)
{
    for (int c = 0; c < n; c++)
        if (slice_is(name, slice_of(channel_names[c])))
            return c;
    return NO_CHANNEL;
}

int channel_by_name(struct slice name) { return find(name, CHANNELS); }
int name_find(struct slice name)       { return find(name, NAMES); }

bool name_matches(int name, int channel)
{
    return is_a_pattern(name) ? patterns[name - CHANNELS].channels & 1 << channel : name == channel;
}

uint16_t names_covered(uint16_t mask)
{
    uint16_t covered = mask;
    for (int p = 0; p < PATTERNS; p++)
        if (mask & 1 << (CHANNELS + p))
            covered |= patterns[p].channels | patterns[p].patterns;
    return covered;
}

uint16_t names_channels(uint16_t mask) { return names_covered(mask) & ALL_CHANNELS; }

uint16_t some_names(struct sim *sim)
{
    uint16_t mask = (uint16_t)dice(sim, 1 << CHANNELS);
    if (chance(sim, 400))
        mask |= (uint16_t)(1 << (CHANNELS + dice(sim, PATTERNS)));
    if (chance(sim, 100))
        mask |= (uint16_t)(1 << (CHANNELS + dice(sim, PATTERNS)));
    if (chance(sim, 150))
        mask &= (uint16_t)~ALL_CHANNELS;
    return mask;
}
