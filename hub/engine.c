/* engine.c — the core beside an engine outside: what is asked of that, and what it tells. */
#include "hub/engine.h"

#include "hub/core.h"
#include "hub/metrics.h"

void hub_use_engine(struct hub *hub, struct engine *engine)
{
    hub->engine = engine;
    hub->presence.outside = true;
    hub->epoch = 0;      /* until it is live for the first time nobody knows */
    hub->head = 0;
}

/* ---- asked of it ---- */

static const struct channel_rule *rule_of(const struct hub *hub, const struct msg *m, const struct channel *ch)
{
    return ch ? ch->rule : config_channel_rule(hub->config, msg_channel(m));
}

void engine_publish(struct hub *hub, struct publish_call *call)
{
    struct msg *m = call->msg;
    const struct channel *ch = channel_find(&hub->channels, msg_channel(m), m->hash);
    if (hub->draining) {
        metric_add(METRIC_msgs_refused, 1);
        hub_answer(hub, &call->call, ERR_DRAINING);
        return;
    }
    call->subscribers = watch_subscribers_all(hub, msg_channel(m), ch);
    call->replayed = false;
    int err = events_make(hub, EVENT_MESSAGE_PUBLISHED, m, &call->event);
    hub->at_engine++;
    if (err)
        engine_answer(hub, &call->call, err);
    else
        hub->engine->publish(hub->engine, call, rule_of(hub, m, ch));
}

void engine_event(struct hub *hub, struct publish_call *call)
{
    int err = hub->draining && !call->is_own ? ERR_DRAINING : call->event || call->is_own ? 0 : events_make(hub, EVENT_OWN, call->msg, &call->event);
    call->subscribers = 0;
    call->replayed = false;
    hub->at_engine++;
    if (err)
        engine_answer(hub, &call->call, err);
    else
        hub->engine->tell(hub->engine, call, events_outbox(call));
}

/* Rounds tell when all that was asked before a moment is answered, without a list of it: what is asked from then on is of the next one. */
static void enter_round(struct hub *hub, struct call *call)
{
    call->round = hub->round;
    hub->round_left[hub->round]++;
}

bool engine_next_round(struct hub *hub)
{
    if (hub->round_left[hub->round ^ 1] > 0)
        return false;
    hub->round ^= 1;
    return true;
}

void engine_fetch(struct hub *hub, struct fetch_call *call)
{
    enter_round(hub, &call->call);
    hub->engine->fetch(hub->engine, call);
}

void engine_watch(struct hub *hub, struct watch_call *call)
{
    enter_round(hub, &call->call);
    hub->engine->subscribe(hub->engine, call);
}

/* ---- told by it ---- */

void engine_live(struct hub *hub, struct position head)
{
    hub->epoch = head.epoch;
    hub->head = head.seq;
}

void engine_head(struct hub *hub, struct position head) { hub->head = head.seq; }

void engine_message(struct hub *hub, struct msg *m)
{
    struct channel *ch = channel_find(&hub->channels, msg_channel(m), m->hash);
    hub->head = m->seq;
    if (ch)
        ch->last = m->seq;
    watch_deliver(hub, ch, m);
}

void engine_behind(struct hub *hub, struct slice channel)
{
    watch_fall_behind(hub, channel);
}

void engine_purged(struct hub *hub) { purge_tell_edges(hub); }

static void published(struct hub *hub, struct publish_call *call, int err)
{
    hub->at_engine--;
    metric_add(METRIC_events, !err && !call->replayed && call->event);
    hub_event_free(call->event);
    call->event = NULL;
    if (err) {
        metric_add(METRIC_msgs_refused, 1);
    } else if (call->replayed) {
        metric_add(METRIC_replays, 1);
    } else {
        metric_add(METRIC_msgs_in, 1);
        metric_add(METRIC_bytes_in, call->msg->data_len);
    }
}

/* One that is tried again keeps its event. */
static void told(struct hub *hub, struct publish_call *call, int err)
{
    hub->at_engine--;
    metric_add(METRIC_events, !err && !call->replayed && call->event);
    if (!call->is_own) {
        hub_event_free(call->event);
        call->event = NULL;
    }
    events_answered(hub, call, err);
}

void engine_answer(struct hub *hub, struct call *call, int err)
{
    if (call->letter.kind == CALL_EVENT) {
        told(hub, (struct publish_call *)(void *)call, err);
        return;
    }
    if (call->letter.kind == CALL_WATCH || call->letter.kind == CALL_FETCH)
        hub->round_left[call->round]--;
    if (call->letter.kind == CALL_PUBLISH)
        published(hub, (struct publish_call *)(void *)call, err);
    else if (call->letter.kind == CALL_PURGE && !err)
        metric_add(METRIC_msgs_purged, ((struct purge_call *)(void *)call)->removed);
    else if (call->letter.kind == CALL_WATCH && err)
        watch_refused(hub, (struct watch_call *)(void *)call);
    else if (call->letter.kind == CALL_WATCH)
        watch_confirmed(hub, (struct watch_call *)(void *)call);
    hub_answer(hub, call, err);
}
