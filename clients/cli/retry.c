#include "clients/cli/retry.h"

#include <sys/random.h>

enum { FIRST_MS = 100, LAST_MS = 2000 };

void retry_went_well(struct retry *retry) { retry->failures = 0; }

static int64_t spread(int64_t ms)
{
    uint32_t n = 0;
    if (getrandom(&n, sizeof n, 0) != sizeof n)
        return ms;
    return ms / 2 + (int64_t)(n % (uint64_t)(ms + 1));
}

int64_t retry_wait_ms(struct retry *retry, int64_t now_ms, bool begun, int64_t wish_ms)
{
    retry->failed_ms = retry->failures ? retry->failed_ms : now_ms;
    int64_t left = retry->failed_ms + retry->patience_ms - now_ms, wait = FIRST_MS;
    if (retry->patience_ms == 0 || left <= 0 || (!begun && !retry->from_start))
        return -1;
    for (unsigned i = 0; i < retry->failures && wait < LAST_MS; i++)
        wait *= 2;
    retry->failures++;
    wait = wish_ms > 0 ? wish_ms : spread(wait > LAST_MS ? LAST_MS : wait);
    return wait > left ? left : wait;       /* once more at the very end */
}
