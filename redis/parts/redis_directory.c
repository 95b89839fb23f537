/* redis_directory.c — nodes from their leases; what other nodes ask:
 *
 *   names    prefix, pattern, after (each behind a byte of length), limit 4  ──> more 1, names
 *   counts   names                                                           ──> for each: subscribers 4, alive 1
 */
#include "redis/parts/redis_directory.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "redis/parts/redis_listing.h"
#include "redis/parts/redis_nodes.h"
#include "redis/bus/redis_pack.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAGE_MOST = 1000 };

static struct redis_directory *of_port(struct directory *port) { return (struct redis_directory *)port; }

static void list_channels(struct directory *port, struct channels_call *call) { redis_listing_begin(of_port(port), &call->call); }
static void list_matching(struct directory *port, struct match_call *call)    { redis_listing_begin(of_port(port), &call->call); }

/* ---- nodes ---- */

static void copy(struct slice text, char *out, size_t size) { snprintf(out, size, "%.*s", (int)text.len, text.at); }

static void list_nodes(struct directory *port, struct nodes_call *call)
{
    struct redis_directory *directory = of_port(port);
    const struct redis_node *list;
    size_t n = redis_nodes_list(directory->nodes, &list);
    int64_t now_ms = redis_nodes_server_ms(directory->nodes, clock_mono_ms(clock_real()));
    call->n_infos = n < NODES_MOST ? n : NODES_MOST;
    call->infos = calloc(call->n_infos + 1, sizeof *call->infos);
    for (size_t i = 0; call->infos && i < call->n_infos; i++) {
        const struct redis_node *node = &list[i];
        struct node_info *info = &call->infos[i];
        *info = (struct node_info){ .number = node->number, .is_self = node->number == redis_bus_node(directory->bus), .since_ms = node->started_ms,
                                    .age_ms = now_ms > node->heard_ms ? now_ms - node->heard_ms : 0, .connections = node->connections,
                                    .subscriptions = node->subscriptions, .members = node->members };
        copy(node->name, info->name, sizeof info->name);
        copy(node->version, info->version, sizeof info->version);
        copy(node->public_address, info->public_address, sizeof info->public_address);
        copy(node->api_address, info->api_address, sizeof info->api_address);
    }
    directory_answer(directory->hub, &call->call, call->infos ? 0 : ERR_MEMORY);
}

/* ---- asked by other nodes ---- */

static void answer_names(struct redis_answerer *self, struct redis_asker asker, struct slice body)
{
    struct redis_directory *directory = link_of(self, struct redis_directory, names);
    struct names_wish wish = { .prefix = take_short(&body) };
    wish.pattern = take_short(&body);
    wish.after = take_short(&body);
    wish.limit = take_u32(&body);
    struct buf names = { 0 };
    bool more = false;
    if (!body.at || wish.limit == 0 || wish.limit > PAGE_MOST)
        return;      /* not of this version */
    buf_add_char(&names, 0);
    if (names_here(directory->hub, &wish, &names, &more) == 0) {
        names.at[0] = more;
        redis_answer(directory->asks, asker, buf_slice(&names));
    }
    buf_fini(&names);
}

static void answer_counts(struct redis_answerer *self, struct redis_asker asker, struct slice body)
{
    struct redis_directory *directory = link_of(self, struct redis_directory, counts);
    struct buf counts = { 0 };
    while (body.len > 0 && body.at) {
        struct slice name = take_short(&body);
        pack_u32(&counts, subscribers_here(directory->hub, name));
        buf_add_char(&counts, (char)channel_is_here(directory->hub, name));
    }
    if (body.at && !counts.failed)
        redis_answer(directory->asks, asker, buf_slice(&counts));
    buf_fini(&counts);
}

void redis_directory_init(struct redis_directory *directory)
{
    directory->port = (struct directory){ .channels = list_channels, .match = list_matching, .nodes = list_nodes };
    directory->names = (struct redis_answerer){ .kind = REDIS_ASK_NAMES, .answer = answer_names };
    directory->counts = (struct redis_answerer){ .kind = REDIS_ASK_COUNTS, .answer = answer_counts };
    redis_asks_add(directory->asks, &directory->names);
    redis_asks_add(directory->asks, &directory->counts);
}
