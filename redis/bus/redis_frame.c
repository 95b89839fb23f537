#include "redis/bus/redis_frame.h"

#include "hub/base/err.h"
#include "hub/store/store_block.h"
#include "redis/bus/redis_pack.h"

static bool take_sight(struct slice *rest, struct redis_sight *ret)
{
    if (rest->len < 8 + REDIS_PROOF_BYTES + 8)
        return false;
    ret->epoch = take_u64(rest);
    struct slice proof = take_bytes(rest, REDIS_PROOF_BYTES);
    memcpy(ret->proof, proof.at, proof.len);
    return rest->at;
}

int redis_frame_message(struct slice frame, struct redis_sight *ret_sight, struct msg **ret_m)
{
    struct redis_sight sight;
    struct msg *m;
    if (!take_sight(&frame, &sight))
        return ERR_REDIS_FRAME;
    int err = store_block_take(&frame, sight.epoch, &m);
    if (err)
        return err == ERR_MEMORY ? err : ERR_REDIS_FRAME;
    sight.seq = m->seq;
    *ret_sight = sight;
    *ret_m = m;
    return 0;
}

bool redis_frame_echo(struct slice frame, struct redis_sight *ret_sight, uint64_t *ret_token)
{
    if (!take_sight(&frame, ret_sight))
        return false;
    ret_sight->seq = take_u64(&frame);
    *ret_token = 0;
    return frame.len == 0 || slice_u64(frame, ret_token);
}
