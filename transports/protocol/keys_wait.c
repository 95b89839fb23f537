#include "transports/protocol/keys_wait.h"

#include "hub/base/err.h"
#include "hub/metrics.h"
#include "transports/edge/edge.h"

static int64_t now_ms(const struct edge *edge) { return clock_mono_ms(edge->clock); }

void keys_wait_init(struct keys_wait *wait, void (*again)(struct keys_wait *wait, int otherwise))
{
    *wait = (struct keys_wait){ .again = again };
    link_init(&wait->link);
}

void keys_wait_end(struct edge *edge, struct keys_wait *wait)
{
    if (link_alone(&wait->link))
        return;
    link_remove(&wait->link);
    edge->keys_bytes -= wait->bytes;
    metric_add(METRIC_keys_waiting, -1);
}

static int how_unknown_counts(const struct edge *edge, const struct keys_wait *wait, int answer)
{
    if (answer == ERR_DRAINING)
        return answer;
    if (answer == 0 && wait->asked)
        return ERR_BAD_TOKEN;
    return now_ms(edge) >= wait->until_ms ? ERR_KEYS_PENDING : 0;
}

static void ask(struct edge *edge);

/* Each that waits is looked at once, and the next call is sent for all who wait again: not by the first of them. */
static void on_keys(struct call *call)
{
    struct edge *edge = call->owner;
    struct link waiting, *first;
    edge->calls--;
    link_init(&waiting);
    list_move_all(&waiting, &edge->keys_waiting);
    while ((first = list_first(&waiting))) {
        struct keys_wait *wait = link_of(first, struct keys_wait, link);
        int otherwise = how_unknown_counts(edge, wait, call->err);
        keys_wait_end(edge, wait);
        wait->again(wait, otherwise);
    }
    edge->keys_asked = false;
    ask(edge);
}

static void ask(struct edge *edge)
{
    if (edge->keys_asked || link_alone(&edge->keys_waiting))
        return;
    list_each(item, following, &edge->keys_waiting)
        link_of(item, struct keys_wait, link)->asked = true;
    edge->keys_asked = true;
    edge->keys_call = (struct call){ .owner = edge, .answered = on_keys };
    edge_call(edge, &edge->keys_call, CALL_KEYS, 0);
}

int keys_wait_begin(struct edge *edge, struct keys_wait *wait, size_t bytes)
{
    if (wait->until_ms == 0)
        wait->until_ms = now_ms(edge) + KEYS_WAIT_MS;
    if (now_ms(edge) >= wait->until_ms || bytes > KEYS_WAIT_BYTES - edge->keys_bytes)
        return ERR_KEYS_PENDING;
    wait->bytes = bytes;
    wait->asked = false;
    edge->keys_bytes += bytes;
    list_add_last(&edge->keys_waiting, &wait->link);
    metric_add(METRIC_keys_waiting, 1);
    ask(edge);
    return 0;
}
