/* redis/bus/redis_frame.h: what the subscriber link brings. Input: a frame, as a message and as an echo. A message that is taken is one that
 * this hub could have published: written again it is the same bytes. */
#include "hub/base/name.h"
#include "hub/store/store_block.h"
#include "redis/bus/redis_frame.h"
#include "redis/bus/redis_pack.h"
#include "tests/fuzz/fuzz.h"

static void look_at_message(struct slice frame)
{
    struct redis_sight sight;
    struct buf again = { 0 };
    struct msg *m = NULL;
    if (redis_frame_message(frame, &sight, &m)) {
        must(!m, "a message of a frame that is none");
        return;
    }
    must(!channel_name_check(msg_channel(m)), "\"%.*s\" is no channel", (int)msg_channel(m).len, msg_channel(m).at);
    must(sight.seq == m->seq && sight.epoch == m->epoch, "it is seen elsewhere than it is");
    pack_u64(&again, sight.epoch);
    buf_add(&again, sight.proof, sizeof sight.proof);
    store_block_add(&again, m);
    must(!again.failed, "no memory");
    struct redis_sight second;
    struct msg *n = NULL;
    must(!redis_frame_message(buf_slice(&again), &second, &n), "what was written of it is no message");
    must(second.seq == sight.seq && second.epoch == sight.epoch && !memcmp(second.proof, sight.proof, sizeof sight.proof), "another place");
    must_be_same(msg_channel(m), msg_channel(n), "channel");
    must_be_same(msg_event(m), msg_event(n), "event");
    must_be_same(msg_data(m), msg_data(n), "data");
    must(m->prev == n->prev && m->time_ms == n->time_ms && m->ttl_ms == n->ttl_ms && m->kind == n->kind, "another message");
    msg_unref(m);
    msg_unref(n);
    buf_fini(&again);
}

static void look_at_echo(struct slice frame)
{
    struct redis_sight sight;
    uint64_t token = 0;
    if (redis_frame_echo(frame, &sight, &token))
        must(frame.len == 24 || token > 0 || frame.at[24] == '0', "a token of %zu bytes is none", frame.len - 24);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *frame = piece_of(input(data, size));
    look_at_message(slice(frame, size));
    look_at_echo(slice(frame, size));
    free(frame);
    return 0;
}
