#include "webhooks/webhooks.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/config/config.h"
#include "hub/hook.h"
#include "webhooks/dispatcher.h"
#include "webhooks/endpoints.h"
#include "webhooks/occupancy.h"
#include "webhooks/orders.h"
#include "webhooks/replay.h"

#include <stdlib.h>

struct webhooks {
    struct hook          hook;           /* first */
    struct serving      *serving;
    struct dispatcher   *dispatcher;
    struct endpoints    *endpoints;
    struct replays      *replays;
    struct occupancy    *occupancy;
    struct orders        orders;
    struct delivery_read counts;         /* what waits from before */
    bool                 counting;
};

static struct webhooks *webhooks_of(struct hook *hook) { return (struct webhooks *)hook; }

/* ---- the hub tells ---- */

static size_t targets(struct hook *hook, enum event_type type, const struct msg *m, struct event_target *ret_targets)
{
    return endpoints_targets(webhooks_of(hook)->endpoints, type, m, ret_targets);
}

static bool wants(const struct hook *hook, enum event_type type) { return endpoints_want(((const struct webhooks *)hook)->endpoints, type); }
static void accepted(struct hook *hook, struct hub_event *event) { dispatcher_accept(webhooks_of(hook)->dispatcher, event); }
static void watched(struct hook *hook, struct slice channel, bool on) { occupancy_note(webhooks_of(hook)->occupancy, channel, on); }
static size_t list_endpoints(const struct hook *hook, size_t most, uint64_t *ret_endpoints)
{
    const struct endpoint *found[EVENT_TARGETS];
    size_t n = endpoints_after(((const struct webhooks *)hook)->endpoints, 0, most < EVENT_TARGETS ? most : EVENT_TARGETS, found);
    for (size_t i = 0; i < n; i++)
        ret_endpoints[i] = found[i]->number;
    return n;
}

static void assign(struct hook *hook, uint64_t endpoint, bool is_ours) { dispatcher_assign(webhooks_of(hook)->dispatcher, endpoint, is_ours); }
static void due(struct hook *hook, uint64_t endpoint, bool earlier)    { dispatcher_due(webhooks_of(hook)->dispatcher, endpoint, earlier); }
static void stands(struct hook *hook, uint64_t endpoint, const struct endpoint_standing *standing)
{
    dispatcher_stands(webhooks_of(hook)->dispatcher, endpoint, standing);
}
static bool describe(const struct hook *hook, uint64_t endpoint, struct endpoint_standing *ret_standing)
{
    return dispatcher_describe(((const struct webhooks *)hook)->dispatcher, endpoint, ret_standing);
}
static void asked(struct hook *hook, const struct hook_question *question, struct buf *out) { orders_asked(&webhooks_of(hook)->orders, question, out); }
static void order(struct hook *hook, struct webhook_call *call)  { orders_run(&webhooks_of(hook)->orders, call); }

/* ---- parts tell each other ---- */

static void turn(void *arg)
{
    struct webhooks *w = arg;
    w->serving->turn(w->serving);
}

struct marking { struct endpoint_ask ask; struct webhooks *webhooks; };

static void tell_disabled(struct webhooks *w, const struct endpoint *endpoint, enum endpoint_disabled why)
{
    char id[WEBHOOK_ID_TEXT];
    struct buf data = { 0 };
    webhook_id_print(endpoint->number, id);
    log_warn("webhooks", "%s (%s) is switched off: %s", id, endpoint->url, why == DISABLED_GONE ? "it has answered 410" : "it has only failed for webhooks.disable_after");
    buf_addf(&data, "{\"webhook\":\"%s\",\"reason\":\"%s\",\"url\":", id, why == DISABLED_GONE ? "gone" : "failing");
    buf_add_json(&data, slice_of(endpoint->url));
    buf_add_char(&data, '}');
    hub_tell(w->serving->hub, EVENT_WEBHOOK_DISABLED, SLICE(""), buf_slice(&data), NULL, 0);
    buf_fini(&data);
}

static void on_marked(struct endpoint_ask *ask, int err, const struct endpoint *endpoint, bool durable)
{
    struct marking *marking = (struct marking *)ask;
    (void)durable;
    if (!err && endpoint && ask->disabled)
        tell_disabled(marking->webhooks, endpoint, ask->disabled);
    free(marking);
}

/* What cannot be written now is tried again with the next failure. */
static void mark(void *arg, uint64_t number, enum endpoint_disabled disabled, int64_t failing_since_s)
{
    struct webhooks *w = arg;
    const struct endpoint *endpoint = endpoints_find(w->endpoints, number);
    struct marking *marking = endpoint && (!disabled || !endpoint->disabled) ? calloc(1, sizeof *marking) : NULL;
    if (!marking)
        return;
    marking->webhooks = w;
    marking->ask = (struct endpoint_ask){ .change = ENDPOINT_MARK, .number = number, .disabled = disabled, .failing_since_s = failing_since_s, .ended = on_marked };
    endpoints_change(w->endpoints, &marking->ask);
}

static void sweep(struct webhooks *w, uint64_t number)
{
    uint64_t replay;
    if (replay_begin(w->replays, &(struct replay_wish){ .action = REPLAY_REMOVE, .endpoint = number, .is_quiet = true, .is_swept = true }, &replay))
        log_warn("webhooks", "deliveries of an endpoint that was removed stay until the hub is started again");
}

static void sweep_shared(struct hook *hook, uint64_t endpoint) { sweep(webhooks_of(hook), endpoint); }

/* What is kept of an endpoint that was removed is for nobody. */
static void removed(void *arg, uint64_t number)
{
    struct webhooks *w = arg;
    hub_endpoint_went(w->serving->hub, number);
    if (!hub_shares_queue(w->serving->hub))
        sweep(w, number);
}

static void on_counts(struct delivery_read *read)
{
    struct webhooks *w = read->owner;
    w->counting = false;
    for (size_t i = 0; i < read->n; i++) {
        const struct delivery *row = &read->rows[i];
        if (endpoints_find(w->endpoints, row->endpoint))
            dispatcher_count(w->dispatcher, row->endpoint, (enum delivery_status)row->status, row->number);
        else
            sweep(w, row->endpoint);
    }
    delivery_read_fini(read);
}

/* ---- the spoke ---- */

static void webhooks_free(void *self)
{
    struct webhooks *w = self;
    replays_free(w->replays);
    occupancy_free(w->occupancy);
    endpoints_free(w->endpoints);
    dispatcher_free(w->dispatcher);
    free(w);
}

static bool open_parts(struct webhooks *w, struct serving *serving)
{
    w->dispatcher = dispatcher_new(&(struct dispatcher_setup){ serving->hub, serving->clock, serving->config, serving->base, serving->http_out, turn, mark, w });
    if (!w->dispatcher)
        return false;
    w->endpoints = endpoints_new(&(struct endpoints_setup){ serving->hub, serving->clock, serving->config, w->dispatcher, removed, w });
    w->replays = replays_new(&(struct replays_setup){ serving->hub, serving->clock, w->dispatcher, serving->base, turn, w });
    w->occupancy = occupancy_new(&(struct occupancy_setup){ serving->hub, serving->clock, serving->base, turn, w, serving->config->webhooks_vacated_after_ms });
    w->orders = (struct orders){ serving->hub, serving->clock, w->endpoints, w->dispatcher, w->replays };
    return w->endpoints && w->replays && w->occupancy;
}

/* Without its user and password. */
static void tell_proxy(const struct config *config)
{
    const char *url = config->webhooks_proxy, *at = strrchr(url, '@'), *slashes = strstr(url, "://");
    if (*url)
        log_warn("webhooks", "deliveries go through the proxy %s: it has to refuse forbidden addresses, the hub cannot see them", at ? at + 1 : slashes ? slashes + 3 : url);
}

static int webhooks_open(struct serving *serving, void **ret_self)
{
    struct webhooks *w = calloc(1, sizeof *w);
    if (!w)
        return ERR_MEMORY;
    w->hook = (struct hook){ .targets = targets, .wants = wants, .accepted = accepted, .watched = watched, .endpoints = list_endpoints, .assign = assign, .due = due,
                              .stands = stands, .describe = describe, .sweep = sweep_shared, .asked = asked, .order = order };
    w->serving = serving;
    if (!open_parts(w, serving)) {
        webhooks_free(w);
        return ERR_MEMORY;
    }
    tell_proxy(serving->config);
    hub_use_hook(serving->hub, &w->hook);
    *ret_self = w;
    return 0;
}

static int webhooks_start(void *self)
{
    struct webhooks *w = self;
    if (hub_shares_queue(w->serving->hub))
        return 0;      /* counts are told (hook.h) */
    w->counts = (struct delivery_read){ .kind = READ_COUNTS, .answered = on_counts, .owner = w };
    w->counting = true;
    hub_read_deliveries(w->serving->hub, &w->counts);
    return 0;
}

static void webhooks_reload(void *self, const struct config *config)
{
    struct webhooks *w = self;
    tell_proxy(config);
    dispatcher_reconfigure(w->dispatcher, config);
    endpoints_reconfigure(w->endpoints, config);
    occupancy_reconfigure(w->occupancy, config->webhooks_vacated_after_ms);
}

static void webhooks_drain(void *self)      { dispatcher_stop(((struct webhooks *)self)->dispatcher); }
static bool webhooks_done(const void *self) { return dispatcher_idle(((const struct webhooks *)self)->dispatcher); }
static void webhooks_stop(void *self)       { dispatcher_stop(((struct webhooks *)self)->dispatcher); }

const struct spoke webhooks_spoke = {
    .name = "webhooks", .open = webhooks_open, .start = webhooks_start, .reload = webhooks_reload, .drain = webhooks_drain, .done = webhooks_done,
    .stop = webhooks_stop, .free = webhooks_free,
};
