#include "clients/cli/terminal.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "hub/base/hash.h"
#include "hub/base/json.h"

/* The character at the front and its length; false: these bytes are none. */
static bool take_character(struct slice text, uint32_t *ret_character, size_t *ret_len)
{
    unsigned char first = (unsigned char)text.at[0];
    size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (len > text.len || !utf8_valid(slice(text.at, len)))
        return false;
    uint32_t character = len == 1 ? first : first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++)
        character = character << 6 | ((unsigned char)text.at[i] & 0x3f);
    *ret_character = character;
    *ret_len = len;
    return true;
}

/* Unicode's categories Cc, and those of Cf, Zl and Zp that change how a line is laid out (UAX #9; RFC 8259 lets JSON have all but C0). */
static bool does_something(uint32_t c)
{
    static const struct { uint32_t first, last; } doing[] = {
        { 0, 0x8 }, { 0xb, 0x1f }, { 0x7f, 0x9f }, { 0x61c, 0x61c }, { 0x200e, 0x200f }, { 0x2028, 0x202e }, { 0x2066, 0x2069 }, { 0xfff9, 0xfffb },
    };
    for (size_t i = 0; i < sizeof doing / sizeof *doing; i++)
        if (c >= doing[i].first && c <= doing[i].last)
            return true;
    return false;
}

void terminal_add(struct buf *out, struct slice text)
{
    size_t plain = 0;       /* what is not added yet begins here */
    for (size_t i = 0, len; i < text.len; i += len) {
        uint32_t c = 0;
        len = 1;
        bool is_character = take_character(slice(text.at + i, text.len - i), &c, &len);
        if (is_character && !does_something(c))
            continue;
        buf_add(out, text.at + plain, i - plain);
        buf_addf(out, is_character ? "\\u%04x" : "\\x%02x", is_character ? c : (unsigned char)text.at[i]);
        plain = i + len;
    }
    buf_add(out, text.at + plain, text.len - plain);
}

bool terminal_has_colours(int fd, enum terminal_when when)
{
    const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
    if (when != COLOUR_AUTO)
        return when == COLOUR_ALWAYS;
    return isatty(fd) && !(no && *no) && terminal && strcmp(terminal, "dumb") != 0;
}

void terminal_add_clock(struct buf *out, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    char text[16];
    strftime(text, sizeof text, "%H:%M:%S", localtime_r(&seconds, &tm));
    buf_add_str(out, text);
}

const char *terminal_colour_of(struct slice name)
{
    static const char *const colours[] = { "\x1b[36m", "\x1b[32m", "\x1b[35m", "\x1b[34m", "\x1b[33m", "\x1b[96m", "\x1b[92m", "\x1b[95m", "\x1b[94m" };
    return colours[hash_bytes(name) % (sizeof colours / sizeof *colours)];
}
