/* query.h — percent-encoding (RFC 3986 §2.1) and name=value lists, as in URL queries, HTML forms and cookies.
 *
 * Path segments are decoded without, queries and forms with "+ is a space" (WHATWG URL §5). Nothing is checked beyond the
 * escapes: what a value may be is said where it is used.
 * Threading: pure functions. */
#pragma once
#include "hub/base/buf.h"

/* Appends `in` decoded; false at a broken escape (the buf then holds what came before it). Never longer than `in`. */
bool percent_decode(struct slice in, bool plus_is_space, struct buf *out);
/* Appends `in` with everything escaped but the unreserved letters. */
void percent_encode(struct slice in, struct buf *out);

/* Takes the next pair off the front of `rest`, as written; false: none left. A name alone has an empty value. */
bool query_next(struct slice *rest, struct slice *ret_name, struct slice *ret_value);

enum query_found { QUERY_ABSENT, QUERY_FOUND, QUERY_BROKEN };
/* The first pair of that name, its value decoded and appended to `out`. */
enum query_found query_find(struct slice query, const char *name, struct buf *out);

/* The first cookie of that name (RFC 6265 §4.2.1: pairs parted by "; "), as written; empty: not there. */
struct slice cookie_find(struct slice cookies, struct slice name);
