#include "hub/health.h"

#include "hub/base/buf.h"

#include <pthread.h>

enum { REASON_BYTES = 200 };

static const char *const names[HEALTH_PARTS] = {
    [HEALTH_HUB] = "hub", [HEALTH_STORE] = "store", [HEALTH_REDIS] = "redis", [HEALTH_MEMORY] = "memory",
    [HEALTH_TOKENS] = "tokens", [HEALTH_DRAIN] = "drain",
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char reasons[HEALTH_PARTS][REASON_BYTES + 1];      /* empty: well */

/* What is printed must be UTF-8, so a cut falls between characters. */
static size_t cut(const char *text)
{
    size_t len = strnlen(text, REASON_BYTES + 1);
    if (len <= REASON_BYTES)
        return len;
    for (len = REASON_BYTES; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
        len--;
    return len;
}

void health_set(enum health_part part, const char *reason)
{
    const char *text = !reason ? "" : *reason ? reason : "not well";
    size_t len = cut(text);
    pthread_mutex_lock(&lock);
    memcpy(reasons[part], text, len);
    reasons[part][len] = 0;
    pthread_mutex_unlock(&lock);
}

static bool all_well(void)
{
    for (int part = 0; part < HEALTH_PARTS; part++)
        if (reasons[part][0])
            return false;
    return true;
}

bool health_ready(void)
{
    pthread_mutex_lock(&lock);
    bool ready = all_well();
    pthread_mutex_unlock(&lock);
    return ready;
}

void health_print(struct buf *out)
{
    pthread_mutex_lock(&lock);
    buf_addf(out, "{\"status\":\"%s\",\"checks\":{", all_well() ? "ok" : "unavailable");
    for (int part = 0; part < HEALTH_PARTS; part++) {
        buf_addf(out, "%s\"%s\":{\"status\":\"%s\"", part ? "," : "", names[part], reasons[part][0] ? "unavailable" : "ok");
        if (reasons[part][0]) {
            buf_add_str(out, ",\"reason\":");
            buf_add_json(out, slice_of(reasons[part]));
        }
        buf_add_char(out, '}');
    }
    buf_add_str(out, "}}");
    pthread_mutex_unlock(&lock);
}
