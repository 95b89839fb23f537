/* instant.h — moments as people and programs write them: RFC 3339, 2026-11-21T10:08:00Z; in whole seconds since 1970.
 * Threading: pure functions. */
#pragma once
#include "hub/base/buf.h"

/* 2026-11-21T10:08:00Z, with lower case letters or a blank in place of T, parts of a second (dropped), and offsets like +02:00.
 * False for anything else, also for days that do not exist, and before 1970. */
bool instant_parse(struct slice text, int64_t *ret_s);
bool instant_parse_ms(struct slice text, int64_t *ret_ms);      /* likewise; the parts of a second count */
/* Dates of HTTP (RFC 9110 §5.6.7): Sun, 06 Nov 1994 08:49:37 GMT and the two forms that came before it, of RFC 850 and of asctime().
 * A year of two digits is the one nearest to now that is no more than 50 years ahead. The day of the week is not compared. */
bool instant_parse_http(struct slice text, int64_t now_s, int64_t *ret_s);
void buf_add_instant(struct buf *out, int64_t s);      /* in UTC; of the years 1970 … 9999 */
void buf_add_instant_ms(struct buf *out, int64_t ms);  /* the same with three digits behind the seconds: 2026-11-21T10:08:00.123Z */
/* As a further member of a JSON object: `,"name":"2026-…"`; INT64_MAX, never, is null. */
void buf_add_instant_member(struct buf *out, const char *name, int64_t s);
/* Likewise of milliseconds, which are told when there are any. */
void buf_add_moment_member(struct buf *out, const char *name, int64_t ms);
