#include "clients/cli/pretty.h"

static void new_line(struct buf *out, size_t depth)
{
    buf_add_char(out, '\n');
    for (size_t i = 0; i < depth; i++)
        buf_add_str(out, "  ");
}

/* Index of the first token at or behind `at`. */
static size_t skip_blanks(struct slice json, size_t at)
{
    while (at < json.len && strchr(" \t\r\n", json.at[at]))
        at++;
    return at;
}

/* A string with its quotes; its length. */
static size_t string_at(struct slice json, size_t at)
{
    size_t end = at + 1;
    while (end < json.len && json.at[end] != '"')
        end += json.at[end] == '\\' ? 2 : 1;
    return (end < json.len ? end + 1 : json.len) - at;
}

/* One token, or `[]` and `{}` as one; how many bytes were taken. */
static size_t add_token(struct buf *out, struct slice json, size_t at, size_t *depth)
{
    char c = json.at[at];
    size_t next = skip_blanks(json, at + 1);
    bool closes = next < json.len && (json.at[next] == ']' || json.at[next] == '}');
    if ((c == '[' || c == '{') && closes) {
        buf_add_char(out, c);
        buf_add_char(out, json.at[next]);
        return next + 1 - at;
    }
    if (c == ']' || c == '}') {
        *depth -= *depth > 0;
        new_line(out, *depth);
    }
    if (c == '"') {
        size_t len = string_at(json, at);
        buf_add(out, json.at + at, len);
        return len;
    }
    buf_add_char(out, c);
    if (c == '[' || c == '{')
        ++*depth;
    if (c == '[' || c == '{' || c == ',')
        new_line(out, *depth);
    if (c == ':')
        buf_add_char(out, ' ');
    return 1;
}

void pretty_add(struct buf *out, struct slice json)
{
    size_t depth = 0;
    for (size_t at = skip_blanks(json, 0); at < json.len; at = skip_blanks(json, at))
        at += add_token(out, json, at, &depth);
}
