/* room_text.c — what members of rooms are told, as bytes (rooms.h): for signaling/, which says it, and for edges, which write it. */
#include "hub/rooms.h"

#include <stdlib.h>

struct room_text *room_text_new(struct slice bytes)
{
    struct room_text *text = malloc(sizeof *text + bytes.len);
    if (!text)
        return NULL;
    atomic_init(&text->refs, 1);
    text->len = (uint32_t)bytes.len;
    if (bytes.len > 0)
        memcpy(text->bytes, bytes.at, bytes.len);
    return text;
}

struct room_text *room_text_ref(struct room_text *text)
{
    if (text)
        atomic_fetch_add_explicit(&text->refs, 1, memory_order_relaxed);
    return text;
}

void room_text_unref(struct room_text *text)
{
    if (text && atomic_fetch_sub_explicit(&text->refs, 1, memory_order_acq_rel) == 1)
        free(text);
}

const char *room_frame_type(enum room_frame frame)
{
    static const char *const types[ROOM_FRAMES] = {
#define ROOM_RELAYED(name, type, what) type,
#define ROOM_FRAME(name, type, what)   type,
#include "hub/room_frames.def"
#undef ROOM_RELAYED
#undef ROOM_FRAME
    };
    return types[frame];
}

void room_say_print(const struct room_say *say, struct buf *out)
{
    buf_add_str(out, "{\"type\":\"");
    buf_add_str(out, room_frame_type((enum room_frame)say->frame));
    buf_add_char(out, '"');
    buf_add_slice(out, room_text_slice(say->head));
    if (say->seq > 0) {
        buf_add_str(out, ",\"seq\":");
        buf_add_u64(out, say->seq);
    }
    if (say->replay)
        buf_add_str(out, ",\"replay\":true");
    buf_add_slice(out, room_text_slice(say->rest));
    buf_add_char(out, '}');
}

void room_say_free(struct room_say *say)
{
    if (!say)
        return;
    room_text_unref(say->head);
    room_text_unref(say->rest);
    free(say);
}
