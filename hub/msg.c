#include "hub/msg.h"

#include "hub/base/hash.h"

#include <stdlib.h>

static char *put(char *to, struct slice s)
{
    if (s.len > 0)
        memcpy(to, s.at, s.len);
    return to + s.len;
}

struct msg *msg_new(const struct msg_parts *parts)
{
    struct msg *m = malloc(sizeof *m + parts->channel.len + parts->event.len + parts->client.len + parts->exclude.len + parts->data.len + parts->trace.len);
    if (!m)
        return NULL;
    *m = (struct msg){
        .kind = (uint8_t)parts->kind,
        .channel_len = (uint8_t)parts->channel.len,
        .event_len = (uint8_t)parts->event.len,
        .client_len = (uint8_t)parts->client.len,
        .exclude_len = (uint8_t)parts->exclude.len,
        .data_len = (uint32_t)parts->data.len,
        .trace_len = (uint8_t)parts->trace.len,
        .ttl_ms = parts->ttl_ms,
        .hash = hash_bytes(parts->channel),
    };
    atomic_init(&m->refs, 1);
    put(put(put(put(put(put(m->bytes, parts->channel), parts->event), parts->client), parts->exclude), parts->data), parts->trace);
    return m;
}

struct msg *msg_ref(struct msg *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void msg_unref(struct msg *m)
{
    if (m && atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1)
        free(m);
}
