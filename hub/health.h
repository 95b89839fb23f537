/* health.h — whether this hub can do its work, part by part, with the reason when not. /health/ready shows it.
 * Threading: any thread. */
#pragma once
#include <stdbool.h>
struct buf;

enum health_part { HEALTH_HUB, HEALTH_STORE, HEALTH_REDIS, HEALTH_MEMORY, HEALTH_TOKENS, HEALTH_DRAIN, HEALTH_PARTS };

void health_set(enum health_part part, const char *reason);   /* NULL: well; the text is copied (cut at 200 bytes) */
bool health_ready(void);                                      /* every part is well */
void health_print(struct buf *out);                           /* JSON: {"status":"ok|unavailable","checks":{"store":{"status":..,"reason":..}}} */
