/* api_list.h — what all lists of the API have in common: ?limit= and ?cursor=, and the Link to the next page.
 *
 * Values of the query are decoded into request->scratch, which gets its size before the first of them, so they do not move.
 * Threading: API thread. */
#pragma once
#include "hub/api/api_request.h"

struct problem;

/* What the list was asked to show only; empty: not asked. */
struct list_filter { const char *name; struct slice value; };

/* Before the first value. False: no memory, and that is answered. */
bool         api_list_begin(struct api_request *request);
void         api_list_limit(struct api_request *request, struct problem *problem);      /* ?limit= into request->limit, 1 … API_PAGE_MAX */
/* A value of the query; an empty one is as if absent. */
struct slice api_list_value(struct api_request *request, const char *name, struct problem *problem);
/* Link: <path?…>; rel="next" (RFC 8288), with what the page was asked for and where it goes on. */
void         api_list_link(struct api_request *request, const struct list_filter *filters, size_t n_filters, struct slice cursor);
/* A member that names the hubs which did not answer: what they have is not in this, what they should have done may not be done. Nothing when
 * all have. */
void         api_list_missing(struct buf *out, const struct nodes_missing *missing);
