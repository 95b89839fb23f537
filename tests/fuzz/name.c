/* hub/base/name.h, beside the same rules as a regular expression. Input: a pattern, a line end, a name. */
#include "hub/base/name.h"

#include "tests/fuzz/fuzz.h"

#include <regex.h>

static bool matches(const char *expression, struct slice s)
{
    regex_t regex;
    char *text = strndup(s.at, s.len);
    must(!regcomp(&regex, expression, REG_EXTENDED | REG_NOSUB), "no expression: %s", expression);
    bool found = !memchr(s.at, '\0', s.len) && !regexec(&regex, text, 0, NULL, 0);
    regfree(&regex);
    free(text);
    return found;
}

/* The pattern as a regular expression: * is one segment, ** at the end one or more, all else itself. */
static char *expression_of(struct slice pattern)
{
    struct buf out = { 0 };
    buf_add_char(&out, '^');
    for (size_t i = 0; i < pattern.len; i++) {
        bool wild = pattern.at[i] == '*', twice = wild && i + 1 < pattern.len && pattern.at[i + 1] == '*';
        if (twice)
            buf_add_str(&out, ".*");
        else if (wild)
            buf_add_str(&out, "[^.]*");
        else
            buf_addf(&out, pattern.at[i] == '^' ? "\\%c" : "[%c]", pattern.at[i]);
        i += twice;
    }
    buf_add_char(&out, '$');
    return buf_take(&out);
}

static bool is_name(struct slice s)
{
    return s.len <= CHANNEL_NAME_MAX && matches("^[]!#-)+-[^-~]+$", s);
}

static bool is_pattern(struct slice s)
{
    return s.len <= CHANNEL_NAME_MAX && s.len > 0 &&
           matches("^(([]!#-)+,/-[^-~-]*|\\*)\\.)*([]!#-)+,/-[^-~-]*|\\*|\\*\\*)$", s);
}

static void must_match_alike(struct slice pattern, struct slice name)
{
    char *expression = expression_of(pattern);
    must(pattern_matches(pattern, name) == matches(expression, name), "%.*s and %.*s", (int)pattern.len, pattern.at, (int)name.len, name.at);
    free(expression);
}

/* A name whose segments are made wild one by one is still matched, and so is every longer one once the end is. */
static void must_match_when_wild(struct slice name)
{
    struct buf pattern = { 0 };
    for (const char *at = name.at, *end = name.at + name.len, *dot; at; at = dot ? dot + 1 : NULL) {
        dot = memchr(at, '.', (size_t)(end - at));
        buf_reset(&pattern);
        buf_add(&pattern, name.at, (size_t)(at - name.at));
        buf_add_char(&pattern, '*');
        buf_add(&pattern, dot ? dot : end, (size_t)(end - (dot ? dot : end)));
        must(pattern.len > CHANNEL_NAME_MAX || !pattern_check(buf_slice(&pattern)), "%.*s is no pattern", (int)pattern.len, pattern.at);
        must(pattern_matches(buf_slice(&pattern), name), "%.*s does not match", (int)pattern.len, pattern.at);
        pattern.len = (size_t)(at - name.at) + 1;
        buf_add_char(&pattern, '*');
        must(pattern_matches(buf_slice(&pattern), name), "%.*s does not match", (int)pattern.len, pattern.at);
    }
    buf_fini(&pattern);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = input(data, size);
    const char *line_end = memchr(in.at, '\n', in.len);
    struct slice pattern = slice(in.at, line_end ? (size_t)(line_end - in.at) : in.len);
    struct slice name = line_end ? slice(line_end + 1, in.len - pattern.len - 1) : pattern;

    must(!channel_name_check(name) == is_name(name), "a name: %.*s", (int)name.len, name.at);
    must(!pattern_check(pattern) == is_pattern(pattern), "a pattern: %.*s", (int)pattern.len, pattern.at);
    must(!event_name_check(name) == (name.len <= EVENT_NAME_MAX && matches("^[A-Za-z0-9._:-]+$", name) && !matches("^hub[.]", name)), "an event");
    must(!client_id_check(name) == (name.len <= CLIENT_ID_MAX && matches("^[A-Za-z0-9._:-]+$", name)), "a client");
    if (channel_name_check(name))
        return 0;
    must(!pattern_check(name) && pattern_matches(name, name), "a name is a pattern that matches itself");
    must_match_when_wild(name);
    if (!pattern_check(pattern))
        must_match_alike(pattern, name);
    return 0;
}
