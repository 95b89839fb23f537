/* endpoint_url.h — may this be the URL of a webhook?
 *
 * It is read by the parser that will use it (libcurl's), so there are no two opinions on where its host ends; what is unusual is
 * refused before that: a URL comes from people, and the clear word at registration spares them the search in the attempts' log.
 * A host that is a name is not looked up here: guard.h judges its addresses each time the hub connects.
 *
 * Threading: any thread. Limits: ENDPOINT_URL_MAX bytes. */
#pragma once
#include "hub/base/buf.h"

struct guard;

enum { ENDPOINT_URL_MAX = 2048 };

/* NULL: good. Otherwise the end of a sentence about what is wrong, into `why` when it has to be made. */
const char *endpoint_url_check(struct slice url, const struct guard *guard, bool allow_http, char why[160]);
