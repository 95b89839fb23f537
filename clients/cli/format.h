/* format.h — how `carillon sub` writes a message: a template, or one of the presets.
 *
 *   "{time} {channel} {data}\n"     fields in braces; \n \t \r \0 \\ \{ and \xHH; everything else as it is
 *
 *   text     10:08:00 news [greeting] hello      for people: what comes behind a line end in the data is indented
 *   data     the payload and a line end
 *   json     the message object on one line; so is ndjson
 *
 * With `terminal` what others wrote is harmless (terminal.h); else it is byte for byte what it is. A template ends a line only where it says so.
 *
 * Lifetime   embedded; format_parse to format_fini. Threading: whoever owns it.
 * Limits     linear in message and template; FORMAT_PIECES pieces of a template. */
#pragma once
#include "hub/base/buf.h"

enum { FORMAT_PIECES = 64 };

enum format_preset { FORMAT_TEMPLATE, FORMAT_TEXT, FORMAT_DATA, FORMAT_JSON };

struct format_piece {
    const struct format_field *field;       /* NULL: a literal */
    size_t                     at, len;     /* of the literal, in `literals` */
};

struct format {
    enum format_preset  preset;
    struct format_piece pieces[FORMAT_PIECES];
    size_t              n;
    struct buf          literals;
    bool                terminal;           /* what is written is shown by one */
    bool                colours;
    bool                pretty;             /* JSON over many lines */
};

/* A preset's name or a template. 0; ERR_BAD_FIELD, and `ret_wrong` is what is wrong with it, a sentence; ERR_MEMORY. */
int  format_parse(const char *text, struct format *ret_format, struct buf *ret_wrong);
void format_fini(struct format *format);
/* Appends one message object, or one of a member who came or left (PROTOCOL.md §3, §6). `now_ms`: the time of what has none itself. 0;
 * ERR_BAD_JSON: it is no such object; ERR_MEMORY. Nothing is appended on failure. */
int  format_add(const struct format *format, struct slice object, int64_t now_ms, struct buf *out);
/* The fields there are, for --help: a line each. */
void format_add_fields_help(struct buf *out);
