/* api_ops.c — what operators and their tools ask: is it alive, can it work, what does it count. */
#include "hub/api/api.h"
#include "hub/health.h"
#include "hub/metrics.h"
#include "hub/version.h"

void api_live(struct api_request *r)
{
    buf_add_str(api_answer_begin(r, 200, "application/json"), "{\"status\":\"ok\"}");
    api_answer_end(r);
}

void api_ready(struct api_request *r)
{
    health_print(api_answer_begin(r, health_ready() ? 200 : 503, "application/json"));
    if (r->status == 503)
        api_answer_header(r, "Retry-After", "1");
    api_answer_end(r);
}

void api_metrics(struct api_request *r)
{
    metrics_print(api_answer_begin(r, 200, "text/plain; version=0.0.4; charset=utf-8"));
    api_answer_end(r);
}

/* Links from the route table, so that none is forgotten. */
void api_root(struct api_request *r)
{
    struct buf *out = api_answer_begin(r, 200, "application/json");
    buf_add_str(out, "{\"name\":\"carillon\",\"version\":\"" CARILLON_VERSION "\",\"links\":[");
    for (size_t i = 0; i < api_route_count; i++) {
        buf_addf(out, "%s{\"method\":\"%s\",\"href\":\"%s\",\"title\":", i ? "," : "", api_routes[i].method, api_routes[i].path);
        buf_add_json(out, slice_of(api_routes[i].summary));
        buf_add_char(out, '}');
    }
    buf_add_str(out, "]}\n");
    api_answer_end(r);
}
