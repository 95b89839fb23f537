/* api_nodes.c — which hubs there are: this one, and those that share a Redis with it. */
#include "hub/api/api.h"
#include "hub/api/problem.h"
#include "hub/base/instant.h"

#include <stdlib.h>

static void add_text(struct buf *out, const char *name, const char *text)
{
    buf_addf(out, ",\"%s\":", name);
    buf_add_json(out, slice_of(text));
}

static void add_node(struct buf *out, const struct node_info *info)
{
    buf_addf(out, "{\"node\":\"%016llx\"", (unsigned long long)info->number);
    add_text(out, "name", info->name);
    buf_addf(out, ",\"self\":%s", info->is_self ? "true" : "false");
    add_text(out, "version", info->version);
    add_text(out, "public", info->public_address);
    add_text(out, "api", info->api_address);
    buf_add_instant_member(out, "since", info->since_ms / 1000);
    buf_addf(out, ",\"connections\":%llu,\"subscriptions\":%llu,\"members\":%llu,\"age_ms\":%lld}", (unsigned long long)info->connections,
             (unsigned long long)info->subscriptions, (unsigned long long)info->members, (long long)info->age_ms);
}

static void listed(struct call *call)
{
    struct api_request *r = call->owner;
    struct nodes_call *nodes = &r->nodes;
    if (call->err) {
        problem_answer_one(r, NULL, call->err, NULL);
        return;
    }
    struct buf *out = api_answer_begin(r, 200, "application/json");
    buf_add_str(out, "{\"data\":[");
    for (size_t i = 0; i < nodes->n_infos; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        add_node(out, &nodes->infos[i]);
    }
    buf_add_str(out, "]}\n");
    free(nodes->infos);
    api_answer_end(r);
}

void api_list_nodes(struct api_request *r)
{
    r->nodes = (struct nodes_call){ .n_infos = 0 };
    api_submit(r, CALL_NODES, 0, listed);
}
