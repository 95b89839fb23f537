#include "hub/msg.h"

#include "hub/base/hash.h"

#include <stdlib.h>

static char *put(char *to, struct slice s)
{
    if (s.len > 0)
        memcpy(to, s.at, s.len);
    return to + s.len;
}

struct msg *msg_new(struct slice channel, struct slice event, struct slice client, enum msg_kind kind, struct slice data)
{
    struct msg *m = malloc(sizeof *m + channel.len + event.len + client.len + data.len);
    if (!m)
        return NULL;
    *m = (struct msg){
        .kind = (uint8_t)kind,
        .channel_len = (uint8_t)channel.len,
        .event_len = (uint8_t)event.len,
        .client_len = (uint8_t)client.len,
        .data_len = (uint32_t)data.len,
        .hash = hash_bytes(channel),
    };
    atomic_init(&m->refs, 1);
    put(put(put(put(m->bytes, channel), event), client), data);
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
