/* batch_publish.h — a message of a batch: may it go, and there and back. Threading: API thread. */
#pragma once
#include "hub/api/batch_item.h"

/* May this batch hand a message to the hub now (batch.h, Limits)? False: batch->answered runs when it may. */
bool batch_can_send(struct batch *batch);
/* Counts n publishes. 0, or ERR_RATE_LIMITED with the seconds to wait. */
int  batch_take_rate(struct batch *batch, uint64_t n, int64_t *ret_retry_s);
/* May the caller publish so many bytes there? `granted`: the grant has been asked for. 0 or why not. */
int  batch_may_publish(const struct batch *batch, struct slice channel, size_t bytes, bool granted);
/* Sends item->publish with this message, which it takes over (NULL: there was no memory for it). 0, or ERR_MEMORY. After batch_can_send. */
int  batch_publish(struct batch_item *item, struct msg *m);
/* item->call, whatever it is; who answers takes it out of batch->n_calls. */
void batch_submit(struct batch_item *item, enum letter_kind kind, size_t bytes, void (*answered)(struct call *call));
