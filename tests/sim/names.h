/* names.h — what a listener may be subscribed to: the channels there are, and patterns over them. By number: CHANNELS channels, then
 * PATTERNS patterns; a mask has one bit for each.
 *
 * What a pattern matches and covers is written down in a table, so that the reference does not lean on name.h. */
#pragma once
#include "hub/base/buf.h"

enum { CHANNELS = 8, PATTERNS = 4, NAMES = CHANNELS + PATTERNS };

enum { NO_CHANNEL = -1 };

struct sim;

extern const char *const channel_names[NAMES];
int      channel_by_name(struct slice name);      /* NO_CHANNEL: none of them */
int      name_find(struct slice name);            /* channels and patterns; NO_CHANNEL: none of them */
bool     name_matches(int name, int channel);     /* a channel matches itself */
/* The names that somebody may have whose grants are these. */
uint16_t names_covered(uint16_t mask);
/* The channels of which these want messages. */
uint16_t names_channels(uint16_t mask);
static inline bool is_a_pattern(int name) { return name >= CHANNELS; }
static inline bool has_pattern(int mask)  { return mask >> CHANNELS != 0; }
/* About half of the channels, and seldom more than one pattern. */
uint16_t some_names(struct sim *sim);
