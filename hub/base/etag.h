/* etag.h — whether a request says that it has something already: If-None-Match against an entity tag (RFC 9110 §8.8.3, §13.1.2).
 *
 * Threading: pure function. */
#pragma once
#include "hub/base/buf.h"

/* `etag` with its quotes, without a comma between them. The value is a list of tags, of which weak ones (W/"…") count as well, or *. */
bool etag_is_named(struct slice if_none_match, struct slice etag);
