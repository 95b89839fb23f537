#include "hub/store/store_block.h"

#include "hub/base/err.h"
#include "hub/base/name.h"
#include "hub/trace.h"

#include <endian.h>

struct head {
    uint64_t seq, prev, time_ms;
    uint32_t data_len;
    uint8_t  kind, channel_len, event_len, client_len;
};
_Static_assert(sizeof(struct head) == 32, "it is what stands in files");

/* Of the few messages that have one of them; `kind` says so. */
enum { KIND_MORE = 0x80, KIND_TRACE = 0x40, MORE_BYTES = 17 };

static bool has_more(const struct msg *m) { return m->ttl_ms > 0 || m->exclude_len > 0 || m->passing > 0; }

static char *put_more(char *to, const struct msg *m)
{
    uint64_t ttl_ms = htole64((uint64_t)m->ttl_ms);
    uint32_t before[] = { htole32(m->passing), htole32(m->passed_s) };
    memcpy(to, &ttl_ms, sizeof ttl_ms);
    memcpy(to + sizeof ttl_ms, before, sizeof before);
    to[MORE_BYTES - 1] = (char)m->exclude_len;
    return to + MORE_BYTES;
}

void store_block_add(struct buf *block, const struct msg *m)
{
    size_t rest = (size_t)m->channel_len + m->event_len + m->client_len + m->exclude_len + m->data_len + m->trace_len;
    size_t more = has_more(m) ? MORE_BYTES : 0;
    struct head head = {
        .seq = htole64(m->seq), .prev = htole64(m->prev), .time_ms = htole64((uint64_t)m->time_ms), .data_len = htole32(m->data_len),
        .kind = (uint8_t)(m->kind | (more ? KIND_MORE : 0) | (m->trace_len ? KIND_TRACE : 0)), .channel_len = m->channel_len, .event_len = m->event_len, .client_len = m->client_len,
    };
    char *to = buf_room(block, sizeof head + more + rest);
    if (!to)
        return;
    memcpy(to, &head, sizeof head);
    to += sizeof head;
    if (more)
        to = put_more(to, m);
    memcpy(to, m->bytes, rest);
    buf_advance(block, sizeof head + more + rest);
}

static struct slice cut(struct slice *rest, size_t len)
{
    struct slice taken = slice(rest->at, len);
    *rest = slice(rest->at + len, rest->len - len);
    return taken;
}

struct more { int64_t ttl_ms; uint32_t passing, passed_s; uint8_t exclude_len, trace_len; };

static bool read_more(struct slice *block, struct more *ret_more)
{
    uint64_t ttl_ms;
    uint32_t before[2];
    if (block->len < MORE_BYTES)
        return false;
    struct slice more = cut(block, MORE_BYTES);
    memcpy(&ttl_ms, more.at, sizeof ttl_ms);
    memcpy(before, more.at + sizeof ttl_ms, sizeof before);
    *ret_more = (struct more){ (int64_t)le64toh(ttl_ms), le32toh(before[0]), le32toh(before[1]), (uint8_t)more.at[MORE_BYTES - 1], 0 };
    return ret_more->ttl_ms >= 0 && ret_more->exclude_len <= CLIENT_ID_MAX;
}

/* What stands before the names; false: not a message. */
static bool read_head(struct slice *block, struct head *ret_head, struct more *ret_more)
{
    struct head head;
    if (block->len < sizeof head)
        return false;
    memcpy(&head, cut(block, sizeof head).at, sizeof head);
    head.data_len = le32toh(head.data_len);
    if (head.kind & KIND_MORE && (!read_more(block, ret_more) || ret_more->passing > le64toh(head.prev)))
        return false;
    ret_more->trace_len = head.kind & KIND_TRACE ? TRACE_BYTES : 0;
    head.kind &= (uint8_t)~(KIND_MORE | KIND_TRACE);
    *ret_head = head;
    return (uint64_t)head.channel_len + head.event_len + head.client_len + ret_more->exclude_len + head.data_len + ret_more->trace_len <= block->len;
}

static bool are_names(const struct msg_parts *parts)
{
    return parts->kind <= MSG_BINARY && parts->event.len <= EVENT_NAME_MAX && parts->client.len <= CLIENT_ID_MAX &&
           (parts->channel.len == 0 || !channel_name_check(parts->channel));
}

int store_event_take(struct slice *block, uint64_t epoch, struct msg **ret_m)
{
    struct slice rest = *block;
    struct head head;
    struct more more = { 0 };
    if (!read_head(&rest, &head, &more))
        return ERR_STORE_OPEN;
    struct msg_parts parts = { .kind = (enum msg_kind)head.kind, .ttl_ms = more.ttl_ms };
    parts.channel = cut(&rest, head.channel_len);
    parts.event = cut(&rest, head.event_len);
    parts.client = cut(&rest, head.client_len);
    parts.exclude = cut(&rest, more.exclude_len);
    parts.data = cut(&rest, head.data_len);
    parts.trace = cut(&rest, more.trace_len);
    if (!are_names(&parts))
        return ERR_STORE_OPEN;
    struct msg *m = msg_new(&parts);
    if (!m)
        return ERR_MEMORY;
    m->epoch = epoch;
    m->seq = le64toh(head.seq);
    m->prev = le64toh(head.prev);
    m->passing = more.passing;
    m->passed_s = more.passed_s;
    m->time_ms = (int64_t)le64toh(head.time_ms);
    *block = rest;
    *ret_m = m;
    return 0;
}

int store_block_take(struct slice *block, uint64_t epoch, struct msg **ret_m)
{
    struct slice rest = *block;
    struct msg *m;
    int err = store_event_take(&rest, epoch, &m);
    if (err)
        return err;
    if (m->channel_len == 0) {
        msg_unref(m);
        return ERR_STORE_OPEN;
    }
    *block = rest;
    *ret_m = m;
    return 0;
}

/* ---- idempotency records ---- */

enum { KEY_NUMBERS = 9 };      /* of 8 bytes each */

void store_key_add(struct buf *block, const struct idempotency_record *record)
{
    const uint64_t numbers[KEY_NUMBERS] = {
        record->key.id[0], record->key.id[1], record->key.content[0], record->key.content[1], htole64(record->number),
        htole64(record->epoch), htole64(record->seq), htole64((uint64_t)record->time_ms), htole64(record->subscribers),
    };
    buf_add(block, (const char *)numbers, sizeof numbers);
}

int store_key_take(struct slice *block, struct idempotency_record *ret)
{
    uint64_t numbers[KEY_NUMBERS];
    if (block->len < sizeof numbers)
        return ERR_STORE_OPEN;
    memcpy(numbers, cut(block, sizeof numbers).at, sizeof numbers);
    *ret = (struct idempotency_record){
        .key = { { numbers[0], numbers[1] }, { numbers[2], numbers[3] } }, .number = le64toh(numbers[4]), .epoch = le64toh(numbers[5]),
        .seq = le64toh(numbers[6]), .time_ms = (int64_t)le64toh(numbers[7]), .subscribers = (uint32_t)le64toh(numbers[8]),
    };
    return 0;
}
