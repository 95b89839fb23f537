/* buf.h — bytes that grow, and slices of bytes that somebody else owns.
 *
 * A buf is embedded; zero-filled is empty and valid. Appending can fail for lack of memory: then the buf remembers it
 * (`failed`), ignores all further appends, and the caller asks once, at the end. What was there before stays.
 * Lifetime: buf_fini() gives the memory back; buf_take() hands it over. Threading: whoever owns it.
 * Limits: none of its own; callers bound what they append. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {             /* borrowed bytes, not terminated */
    const char *at;
    size_t      len;
};

#define SLICE(literal) ((struct slice){ "" literal, sizeof literal - 1 })
static inline struct slice slice_of(const char *s)           { return (struct slice){ s, strlen(s) }; }
static inline struct slice slice(const char *at, size_t len) { return (struct slice){ at, len }; }
static inline bool slice_is(struct slice a, struct slice b)  { return a.len == b.len && (a.len == 0 || !memcmp(a.at, b.at, a.len)); }
bool slice_begins(struct slice s, struct slice prefix);
bool slice_same_letters(struct slice a, struct slice b);     /* of slices of one length */
static inline bool slice_is_nocase(struct slice a, struct slice b)   /* ASCII letters only */
{
    return a.len == b.len && slice_same_letters(a, b);
}
/* Digits only, no sign, no overflow: true and *ret set, else false and *ret untouched. */
bool slice_u64(struct slice s, uint64_t *ret);
/* Without the blanks and tabs around it. */
struct slice slice_trim(struct slice s);
char *slice_copy(struct slice s);                            /* malloc'ed, NUL-terminated; NULL: no memory */
int  hex_value(char c);                                      /* 0 … 15, -1: no hexadecimal digit */

struct buf {
    char  *at;
    size_t len, cap;       /* bytes used, bytes allocated */
    bool   failed;         /* an append found no memory; the content is not to be used */
};

void  buf_fini(struct buf *b);                                  /* frees; empty again */
void  buf_reset(struct buf *b);                                 /* empty, keeps the memory */
char *buf_room(struct buf *b, size_t n);                        /* n writable bytes at the end, or NULL; then buf_advance */
void  buf_advance(struct buf *b, size_t n);
void  buf_add_slowly(struct buf *b, const void *bytes, size_t n);   /* buf_add, when there may be no room yet */
#ifdef __clang_analyzer__      /* of three ways through each append it would follow every combination, and see less of what is around them */
void  buf_add(struct buf *b, const void *bytes, size_t n);
#else
static inline void buf_add(struct buf *b, const void *bytes, size_t n)
{
    if (b->failed || n > b->cap - b->len) {
        buf_add_slowly(b, bytes, n);
    } else if (n > 0) {
        memcpy(b->at + b->len, bytes, n);
        b->len += n;
    }
}
#endif
static inline void buf_add_slice(struct buf *b, struct slice s)    { buf_add(b, s.at, s.len); }
static inline void buf_add_str(struct buf *b, const char *s)       { buf_add(b, s, strlen(s)); }
static inline void buf_add_char(struct buf *b, char c)             { buf_add(b, &c, 1); }
void  buf_add_u64(struct buf *b, uint64_t n);                   /* decimal */
void  buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void  buf_drop_front(struct buf *b, size_t n);
static inline struct slice buf_slice(const struct buf *b) { return (struct slice){ b->at ? b->at : "", b->len }; }
char *buf_take(struct buf *b);                                  /* the bytes, NUL-terminated, to be freed by the caller; or NULL */

/* JSON text (RFC 8259 §7): a string with its quotes. `s` must be UTF-8; '<' is escaped too, so that it may stand in a page. */
void  buf_add_json(struct buf *b, struct slice s);
/* RFC 4648 §4 with padding. */
void  buf_add_base64(struct buf *b, const void *bytes, size_t n);
