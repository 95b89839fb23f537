/* base64url.h — base64 as tokens and keys have it (RFC 4648 §5, RFC 7515 §2): the alphabet of URLs, no padding, and nothing that
 * would decode to the same bytes twice: stray bits at the end are an error. Threading: pure functions. */
#pragma once
#include "hub/base/buf.h"

void base64url_add(struct buf *out, struct slice bytes);
/* Appends the bytes. 0, or ERR_BAD_FIELD (and nothing appended); no memory is out->failed. */
int  base64url_decode(struct slice text, struct buf *out);
