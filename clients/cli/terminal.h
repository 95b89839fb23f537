/* terminal.h — text of others on somebody's terminal.
 *
 * Who publishes must not be able to move the cursor, change the title, paste keys or hide a line at whoever watches. So on a terminal
 * every character that is not to be read is shown as an escape: control characters (but line ends and tabs), the ones that turn the
 * direction of writing, and bytes that are no UTF-8. What goes into a pipe or a file stays as it is.
 *
 * Threading: pure functions, but for the environment. Limits: linear in the text; at most six bytes for each. */
#pragma once
#include "hub/base/buf.h"

#define COLOUR_OFF     "\x1b[0m"
#define COLOUR_DIM     "\x1b[2m"
#define COLOUR_BOLD    "\x1b[1m"
#define COLOUR_WARNING "\x1b[1;33m"
#define COLOUR_GOOD    "\x1b[32m"
#define COLOUR_BAD     "\x1b[1;31m"

enum terminal_when { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER };

/* Appends the text, harmless: \u001b for a character, \xff for a byte that is no UTF-8. In a string of JSON that is the same string. */
void terminal_add(struct buf *out, struct slice text);
/* COLOUR_AUTO: where `fd` is a terminal that has them (TERM is not dumb), and NO_COLOR is not set or empty (no-color.org). */
bool terminal_has_colours(int fd, enum terminal_when when);
/* The time of day in this place, 10:08:00. */
void terminal_add_clock(struct buf *out, int64_t wall_ms);
/* The sequence that begins a colour, always the same one for a name. */
const char *terminal_colour_of(struct slice name);
