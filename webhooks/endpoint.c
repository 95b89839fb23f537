#include "webhooks/endpoint.h"

#include "hub/base/err.h"
#include "hub/base/name.h"

#include <stdlib.h>

struct endpoint *endpoint_ref(struct endpoint *endpoint)
{
    atomic_fetch_add_explicit(&endpoint->refs, 1, memory_order_relaxed);
    return endpoint;
}

void endpoint_unref(struct endpoint *endpoint)
{
    if (!endpoint || atomic_fetch_sub_explicit(&endpoint->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < endpoint->n_secrets; i++)
        explicit_bzero((char *)endpoint->secrets[i].at, endpoint->secrets[i].len);
    free(endpoint->own_types);
    free(endpoint->channels);
    free(endpoint->message_events);
    free(endpoint->bytes);
    free(endpoint);
}

/* ---- what it wants ---- */

static bool any_matches(const struct slice *patterns, size_t n, struct slice name)
{
    for (size_t i = 0; i < n; i++)
        if (pattern_matches(patterns[i], name))
            return true;
    return false;
}

static bool wants_type(const struct endpoint *endpoint, enum event_type type, const struct msg *m)
{
    if (!(endpoint->types >> type & 1))
        return false;
    return type != EVENT_OWN || any_matches(endpoint->own_types, endpoint->n_own_types, msg_event(m));
}

static bool wants_message(const struct endpoint *endpoint, const struct msg *m)
{
    bool any = endpoint->n_message_events == 0;
    for (size_t i = 0; i < endpoint->n_message_events && !any; i++)
        any = slice_is(endpoint->message_events[i], msg_event(m));
    return any;
}

bool endpoint_wants(const struct endpoint *endpoint, enum event_type type, const struct msg *m)
{
    if (!wants_type(endpoint, type, m) || (type == EVENT_MESSAGE_PUBLISHED && !wants_message(endpoint, m)))
        return false;
    return endpoint->n_channels == 0 || m->channel_len == 0 || any_matches(endpoint->channels, endpoint->n_channels, msg_channel(m));
}

/* FNV-1a, 64 bits: it stands in files, so it is the same in every run. Channels that share a lane wait for each other, no more. */
static uint64_t number_of(struct slice name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)name.at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* 63 bits, and not 0, which is no lane. */
uint64_t endpoint_lane(const struct endpoint *endpoint, const struct msg *m)
{
    return endpoint->ordered ? (number_of(msg_channel(m)) >> 1) | 1 : 0;
}
