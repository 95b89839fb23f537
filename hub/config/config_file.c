/* config_file.c — the INI file. libinih takes assignments apart; lines are counted, headings read and lines without sense
 * reported here, because it numbers nothing, cuts section names at 49 bytes and tells of its first error only. */
#include "hub/config/config_load.h"

#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdlib.h>

enum { FILE_MAX = 1 << 20, LONGEST_LINE = 4000 };

struct file {
    struct config_loader *loader;
    const char           *path;
    struct slice          rest;             /* lines that were not looked at yet */
    unsigned              number;           /* of the line in hand */
    char                  where[PATH_MAX + 16];   /* the same for people: path:number */
    bool                  awaited;          /* libinih has an assignment in hand and has not called back yet */
    bool                  before_first;     /* no heading yet */
    char                  section[64];      /* of the heading above; "" before the first and under a wrong one */
    char                  title[256];
};

#define file_error(file, ...) loader_error((file)->loader, (file)->where, __VA_ARGS__)

static const char no_sense[] = "this is neither key = value nor [section] nor a comment";

static struct slice take_line(struct slice *rest)
{
    const char *end = memchr(rest->at, '\n', rest->len);
    struct slice line = slice(rest->at, end ? (size_t)(end - rest->at) : rest->len);
    size_t taken = line.len + (end != NULL);
    *rest = slice(rest->at + taken, rest->len - taken);
    if (line.len && line.at[line.len - 1] == '\r')
        line.len--;
    return line;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static struct slice trim(struct slice s)
{
    while (s.len && is_blank(*s.at))
        s = slice(s.at + 1, s.len - 1);
    while (s.len && is_blank(s.at[s.len - 1]))
        s.len--;
    return s;
}

/* [section] or [section "title"], where the title may have any letter but a quote. */
static bool split_heading(struct slice line, struct slice *ret_section, struct slice *ret_title)
{
    const char *quote = memchr(line.at, '"', line.len);
    const char *quoted = quote ? memchr(quote + 1, '"', (size_t)(line.at + line.len - quote - 1)) : NULL;
    const char *from = quoted ? quoted + 1 : line.at;
    const char *end = memchr(from, ']', (size_t)(line.at + line.len - from));
    if (!end || (quote && quote < end && !quoted))
        return false;
    struct slice after = trim(slice(end + 1, (size_t)(line.at + line.len - end - 1)));
    if (after.len && after.at[0] != ';' && after.at[0] != '#')
        return false;
    *ret_section = trim(slice(line.at + 1, (size_t)((quoted ? quote : end) - line.at - 1)));
    *ret_title = quoted ? slice(quote + 1, (size_t)(quoted - quote - 1)) : SLICE("");
    return !quoted || trim(slice(quoted + 1, (size_t)(end - quoted - 1))).len == 0;
}

static void take_heading(struct file *file, struct slice line)
{
    struct slice section, title;

    file->section[0] = '\0';
    file->before_first = false;
    if (!split_heading(line, &section, &title)) {
        file_error(file, "a heading is written [section], or [section \"title\"]");
        return;
    }
    if (section.len >= sizeof file->section || title.len >= sizeof file->title) {
        file_error(file, "this heading is too long");
        return;
    }
    snprintf(file->section, sizeof file->section, "%.*s", (int)section.len, section.at);
    snprintf(file->title, sizeof file->title, "%.*s", (int)title.len, title.at);
    const struct config_section *known = config_section_find(file->section);
    if (!known)
        loader_unknown_section(file->loader, file->where, file->section);
    else if (title.len && !known->titled)
        file_error(file, "[%s] has no titles", file->section);
    else if (!strcmp(known->name, "channel"))
        config_rule_begin(file->loader, file->title, file->where);
    else if (!strcmp(known->name, "room"))
        config_room_rule_begin(file->loader, file->title, file->where);
}

/* What is wrong with a line that should be an assignment, or NULL. `size` is what libinih has room for. */
static const char *line_fault(const struct file *file, struct slice line, size_t size)
{
    if (line.len >= size)
        return "this line is longer than 4000 bytes";
    if (memchr(line.at, '\0', line.len))
        return "this is not text";
    if (!memchr(line.at, '=', line.len) && !memchr(line.at, ':', line.len))
        return no_sense;
    if (file->before_first)
        return "a [section] must stand above the first key";
    return NULL;
}

/* fgets for libinih: the next assignment. */
static char *next_line(char *ret_line, int size, void *arg)
{
    struct file *file = arg;
    if (file->awaited)     /* its = stood in a comment, or the like */
        file_error(file, "%s", no_sense);
    file->awaited = false;
    while (file->rest.len) {
        struct slice line = trim(take_line(&file->rest));
        const char *fault = line_fault(file, line, (size_t)size);
        snprintf(file->where, sizeof file->where, "%s:%u", file->path, ++file->number);
        if (line.len == 0 || line.at[0] == ';' || line.at[0] == '#')
            continue;
        if (line.at[0] == '[') {
            take_heading(file, line);
        } else if (fault) {
            file_error(file, "%s", fault);
        } else {
            memcpy(ret_line, line.at, line.len);
            ret_line[line.len] = '\0';
            file->awaited = true;
            return ret_line;
        }
    }
    return NULL;
}

static int on_assignment(void *arg, const char *section, const char *name, const char *value)
{
    struct file *file = arg;
    (void)section;     /* libinih's is cut */
    file->awaited = false;
    if (file->section[0])
        loader_set(file->loader, (struct config_assignment){
            .section = file->section, .title = file->title, .key = name, .value = value, .where = file->where });
    return 1;
}

static int read_whole(const char *path, struct buf *ret_text)
{
    FILE *in = fopen(path, "re");
    size_t n = 1;
    if (!in)
        return errno;
    errno = 0;
    while (n && !feof(in) && !ferror(in) && ret_text->len <= FILE_MAX) {
        char *room = buf_room(ret_text, 65536);
        n = room ? fread(room, 1, 65536, in) : 0;
        buf_advance(ret_text, n);
    }
    int err = ferror(in) ? errno : ret_text->failed ? ENOMEM : ret_text->len > FILE_MAX ? EFBIG : 0;
    fclose(in);
    return err;
}

void config_file_read(struct config_loader *loader, const char *path)
{
    struct buf text = { 0 };
    int err = read_whole(path, &text);
    if (err) {
        loader_error(loader, path, "this file cannot be read: %s", strerror(err));
        buf_fini(&text);
        return;
    }
    struct file file = { .loader = loader, .path = path, .rest = buf_slice(&text), .before_first = true };
    if (slice_begins(file.rest, SLICE("\xEF\xBB\xBF")))     /* the mark that some editors begin UTF-8 with */
        file.rest = slice(file.rest.at + 3, file.rest.len - 3);
    ini_use_stack = false;
    ini_max_line = ini_initial_alloc = LONGEST_LINE + 8;
    ini_allow_multiline = false;                            /* an indented line is an assignment like any other */
    if (ini_parse_stream(next_line, &file, on_assignment, &file) < 0)
        loader_error(loader, path, "no memory to read this file");
    buf_fini(&text);
}
