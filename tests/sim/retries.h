/* retries.h — publishes that are safe to repeat: what the hub must answer to a key and to a condition (hub/idempotency.h, EXACT.md 1, 2),
 * and a publisher that repeats itself.
 *
 *   record of the key   content differs -> key_reused; its message not completed -> key_in_use; else answered as the first was
 *   condition           holds for the newest submitted message of the channel, or position_changed names that one
 *
 * The records here are kept the slow way: a list, oldest first. They end when the hub says so: after their time, when there are too
 * many, with the message that failed. After a restart they are what the disk has, and must be there for all that was acknowledged.
 * Freedom: a quiet channel may have been forgotten, then it has no newest message. */
#pragma once
#include "hub/call.h"

struct disk_image;
struct sim;

enum { REQUESTS = 12, RECORDS_MAX = 512 };

struct retries {
    struct sim  *sim;
    struct msg  *requests[REQUESTS];           /* what was sent with the key of this place; NULL: nothing yet */
    uint64_t     keys[REQUESTS];
    uint64_t     last_key;
    struct kept_key {
        struct idempotency_record record;
        bool                      survived;    /* a restart */
    } records[RECORDS_MAX];                    /* oldest first */
    size_t       n;
};

void retries_fini(struct retries *retries);
/* Some publishes get a key, and then perhaps the message that went with it before; some get a condition. */
void retries_dress(struct retries *retries, struct publish_call *call);

/* What the hub has answered is right. True: by its key or its condition, so it has got no number. */
bool retries_answered(struct retries *retries, const struct publish_call *call);
void retries_numbered(struct retries *retries, const struct publish_call *call);      /* it was taken */
void retries_failed(struct retries *retries, uint64_t seq);                           /* and failed */
void retries_after_turn(struct retries *retries);
/* A hub begins with what the disk has; the model still knows what the one before had said. */
void retries_restart(struct retries *retries, const struct disk_image *image, bool same_epoch);
