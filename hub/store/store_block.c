#include "hub/store/store_block.h"

#include "hub/base/err.h"
#include "hub/base/name.h"

#include <endian.h>

struct head {
    uint64_t seq, prev, time_ms;
    uint32_t data_len;
    uint8_t  kind, channel_len, event_len, client_len;
};
_Static_assert(sizeof(struct head) == 32, "it is what stands in files");

void store_block_add(struct buf *block, const struct msg *m)
{
    size_t rest = (size_t)m->channel_len + m->event_len + m->client_len + m->data_len;
    struct head head = {
        .seq = htole64(m->seq), .prev = htole64(m->prev), .time_ms = htole64((uint64_t)m->time_ms), .data_len = htole32(m->data_len),
        .kind = m->kind, .channel_len = m->channel_len, .event_len = m->event_len, .client_len = m->client_len,
    };
    char *to = buf_room(block, sizeof head + rest);
    if (!to)
        return;
    memcpy(to, &head, sizeof head);
    memcpy(to + sizeof head, m->bytes, rest);
    buf_advance(block, sizeof head + rest);
}

static struct slice cut(struct slice *rest, size_t len)
{
    struct slice taken = slice(rest->at, len);
    *rest = slice(rest->at + len, rest->len - len);
    return taken;
}

/* Every member but seq, or false: not a message. */
static bool read_head(struct slice *block, struct head *ret_head)
{
    struct head head;
    if (block->len < sizeof head)
        return false;
    memcpy(&head, cut(block, sizeof head).at, sizeof head);
    head.data_len = le32toh(head.data_len);
    *ret_head = head;
    return (uint64_t)head.channel_len + head.event_len + head.client_len + head.data_len <= block->len;
}

int store_block_take(struct slice *block, uint64_t epoch, struct msg **ret_m)
{
    struct slice rest = *block;
    struct head head;
    if (!read_head(&rest, &head))
        return ERR_STORE_OPEN;
    struct slice channel = cut(&rest, head.channel_len), event = cut(&rest, head.event_len), client = cut(&rest, head.client_len);
    struct slice data = cut(&rest, head.data_len);
    if (head.kind > MSG_BINARY || channel_name_check(channel) || event.len > EVENT_NAME_MAX || client.len > CLIENT_ID_MAX)
        return ERR_STORE_OPEN;
    struct msg *m = msg_new(channel, event, client, (enum msg_kind)head.kind, data);
    if (!m)
        return ERR_MEMORY;
    m->epoch = epoch;
    m->seq = le64toh(head.seq);
    m->prev = le64toh(head.prev);
    m->time_ms = (int64_t)le64toh(head.time_ms);
    *block = rest;
    *ret_m = m;
    return 0;
}
