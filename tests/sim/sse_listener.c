#define _GNU_SOURCE     /* memmem */
/* sse_listener.c — an EventSource by the book (WHATWG HTML §9.2.6): lines, fields, blocks, the last event id. */
#include "tests/sim/line.h"
#include "tests/sim/object.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

struct block {
    struct buf      data;
    bool            has_id, has_data, is_retry;
    struct position id;
    char            event[80];
};

static int sextet(char c)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(letters, c) : NULL;
    return at ? (int)(at - letters) : -1;
}

static uint32_t tag_of_base64(const char *text, size_t len)
{
    char bytes[16] = "";
    size_t n = 0;
    for (size_t i = 0; i + 3 < len && n + 3 < sizeof bytes; i += 4) {
        int word = 0;
        for (size_t k = 0; k < 4; k++)
            word = word << 6 | (sextet(text[i + k]) & 63);
        bytes[n++] = (char)(word >> 16);
        bytes[n++] = (char)(word >> 8);
        bytes[n++] = (char)word;
    }
    return (uint32_t)strtoul(bytes, NULL, 10);
}

/* A number in decimal never begins with M, N or O, its base64 always does. */
uint32_t payload_tag(const char *text, size_t len)
{
    char digits[24] = "";
    if (len > 5 && !memcmp(text, "{\"n\":", 5))
        text += 5, len -= 5;
    else if (len > 0 && text[0] >= 'M' && text[0] <= 'O')
        return tag_of_base64(text, len);
    memcpy(digits, text, len < sizeof digits - 1 ? len : sizeof digits - 1);
    return (uint32_t)strtoul(digits, NULL, 10);
}

static void on_control(struct listener *r, const struct block *block)
{
    struct object object;
    sim_check(r->sim, object_init(&object, buf_slice(&block->data)), "listener %d: control event without JSON: %s", r->number,
              block->data.at);
    int channel = object_channel(&object);
    if (!strcmp(block->event, "hub.ready"))
        on_ready(r, block->id, object_channels(&object, "recovered"), object_channels(&object, "resumable"),
                 object_channels(&object, NULL));
    else if (!strcmp(block->event, "hub.gap"))
        on_gap(r, block->id, gap_reason_of(object_string(&object, "reason")), object_channels(&object, NULL), false);
    else if (!strcmp(block->event, "hub.bye"))
        on_bye(r, object_string(&object, "code"));
    else if (!strcmp(block->event, "hub.subscribed"))
        on_subscribed(r, 0, channel, position_parse(slice_of(object_string(&object, "position"))),
                      object_true(&object, "recovered"), object_true(&object, "resumable"));
    else if (!strcmp(block->event, "hub.unsubscribed"))
        on_unsubscribed(r, 0, channel, object_string(&object, "code"));
    else if (!strcmp(block->event, "hub.token-expiring"))
        on_expiring(r, object_string(&object, "expires"));
    else if (!strcmp(block->event, "hub.member-joined") || !strcmp(block->event, "hub.member-left"))
        attendance_told(r, channel, object_string(&object, "user"), block->event[11] == 'j');
    else if (!strcmp(block->event, "hub.members-changed"))
        attendance_changed(r, channel);
    else
        sim_fail(r->sim, "listener %d: event %s", r->number, block->event);
    object_fini(&object);
}

static void on_envelope(struct listener *r, const struct block *block)
{
    struct object object;
    sim_check(r->sim, object_init(&object, buf_slice(&block->data)), "listener %d: an envelope is no JSON object", r->number);
    struct position p = position_parse(slice_of(object_string(&object, "id")));
    sim_check(r->sim, p.epoch == block->id.epoch && p.seq == block->id.seq, "listener %d: id %lu in block %lu", r->number,
              p.seq, block->id.seq);
    int channel = object_channel(&object);
    sim_check(r->sim, channel != NO_CHANNEL, "listener %d: an envelope without its channel", r->number);
    on_message(r, p, channel, object_tag(&object), false);
    object_fini(&object);
}

/* Before it begins only what it was asked with is said. */
static void on_repeated(struct listener *r, struct position p)
{
    const struct position asked = r->asked.epoch ? r->asked : (struct position){ 0, 0 };
    sim_check(r->sim, r->resumes && p.epoch == asked.epoch && p.seq == asked.seq, "listener %d: %lu.%lu before the stream has begun, asked with %lu.%lu",
              r->number, p.epoch, p.seq, asked.epoch, asked.seq);
}

static void on_block(struct listener *r, const struct block *block)
{
    sim_check(r->sim, !r->ended, "listener %d: a block after bye", r->number);
    if (!strncmp(block->event, "hub.", 4)) {
        on_control(r, block);
    } else if (block->has_data && r->kind == READ_SSE) {
        on_envelope(r, block);
    } else if (block->has_data) {
        on_message(r, block->id, NO_CHANNEL, payload_tag(block->data.at, block->data.len), false);
    } else if (block->has_id && !r->begun) {
        on_repeated(r, block->id);
    } else if (block->has_id) {
        on_position(r, block->id);
    }
}

static void add_line(struct listener *r, struct block *block, struct slice line)
{
    if (slice_begins(line, SLICE("id: "))) {
        block->id = position_parse(slice(line.at + 4, line.len - 4));
        block->has_id = true;
    } else if (slice_begins(line, SLICE("event: "))) {
        snprintf(block->event, sizeof block->event, "%.*s", (int)line.len - 7, line.at + 7);
    } else if (slice_begins(line, SLICE("data: ")) || slice_is(line, SLICE("data:"))) {
        if (block->has_data)
            buf_add_char(&block->data, '\n');
        if (line.len > 6)
            buf_add(&block->data, line.at + 6, line.len - 6);
        block->has_data = true;
    } else if (!slice_begins(line, SLICE("retry: ")) && !slice_is(line, SLICE(":"))) {
        sim_fail(r->sim, "listener %d: not a line of SSE: %.*s", r->number, (int)line.len, line.at);
    }
}

/* One block; how many bytes it took, 0: it is not complete. */
static size_t parse_block(struct listener *r)
{
    const char *at = r->in.at, *end = r->in.at + r->in.len;
    const char *blank = r->in.len ? memmem(at, r->in.len, "\n\n", 2) : NULL;
    if (!blank)
        return 0;
    struct block block = { 0 };
    sim_check(r->sim, !memchr(at, '\r', (size_t)(blank - at)), "listener %d: a CR in a block", r->number);
    for (const char *next; at <= blank; at = next + 1) {
        next = memchr(at, '\n', (size_t)(end - at));
        add_line(r, &block, slice(at, (size_t)(next - at)));
    }
    buf_add_char(&block.data, '\0');
    block.data.len--;
    on_block(r, &block);
    buf_fini(&block.data);
    return (size_t)(blank + 2 - r->in.at);
}

void sse_listener_parse(struct listener *r)
{
    size_t took;
    while ((took = parse_block(r)) > 0)
        buf_drop_front(&r->in, took);
}
