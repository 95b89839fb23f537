#define _GNU_SOURCE     /* memmem */
/* What receivers and operators write about webhooks: signature.h, verify.h, schedule.h, guard.h. Input: header lines, an empty line, a
 * body. The headers `retry` and `network` stand for the settings of these names, `secret` for a secret. */
#include "hub/http_out.h"
#include "webhooks/guard.h"
#include "webhooks/schedule.h"
#include "webhooks/verify.h"

#include "tests/fuzz/fuzz.h"

enum { NOW_S = 1800000000, WAIT_MAX_MS = 3600 * 1000 };

static void check_retry_after(struct slice value, struct chance *chance)
{
    int64_t wait_ms = -1;
    if (retry_after_parse(value, (int64_t)draw(chance, NOW_S) * 1000, WAIT_MAX_MS, &wait_ms))
        must(wait_ms >= 0 && wait_ms <= WAIT_MAX_MS, "waits %lld ms", (long long)wait_ms);
    else
        must(wait_ms == -1, "refused, and waits %lld ms", (long long)wait_ms);
}

static void check_schedule(struct slice text, struct chance *chance)
{
    struct schedule schedule, again;
    struct buf printed = { 0 };
    if (schedule_parse(text, &schedule))
        return;
    must(schedule.n >= 1 && schedule.n <= SCHEDULE_MAX, "%u attempts", schedule.n);
    for (unsigned i = 0; i < schedule.n; i++) {
        int64_t delay_ms = schedule_delay_ms(&schedule, i + 1, (uint32_t)draw(chance, UINT32_MAX)), most_ms = schedule.delay_ms[i] / 5;
        must(delay_ms >= schedule.delay_ms[i] - most_ms && delay_ms <= schedule.delay_ms[i] + most_ms, "%lld of %lld", (long long)delay_ms, (long long)schedule.delay_ms[i]);
        buf_addf(&printed, "%s%lldms", i ? "," : "", (long long)schedule.delay_ms[i]);
    }
    must(!schedule_parse(buf_slice(&printed), &again) && again.n == schedule.n && !memcmp(again.delay_ms, schedule.delay_ms, schedule.n * sizeof *again.delay_ms),
         "written again it is another: %.*s", (int)printed.len, printed.at);
    buf_fini(&printed);
}

/* What strangers say never verifies by a secret they do not know, and whatever is wrong has a reason. */
static void check_stranger(enum signature_scheme scheme, struct slice head, struct slice body)
{
    struct verifying with = { .scheme = scheme, .secrets = { SLICE("whsec_aDvHq2mX0r5tY8uI3oP6aS9dF1gH4jK7lZ2xC5vB8nM=") }, .n_secrets = 1, .head = head, .body = body,
        .now_s = NOW_S, .tolerance_s = 300 };
    struct buf why = { 0 };
    enum verdict verdict = signature_verify(&with, &why);
    must(verdict == VERDICT_NO_HEADER || verdict == VERDICT_BAD_HEADER || verdict == VERDICT_DIFFERENT, "verdict %d: %.*s", (int)verdict, (int)why.len, why.at);
    must(why.len > 0, "no reason");
    buf_fini(&why);
}

/* What we sign verifies, and does not any more when a byte of it is changed. */
static void check_own(enum signature_scheme scheme, struct slice secret, struct slice body, struct chance *chance)
{
    struct signer *signer = signer_new(scheme, &secret, 1);
    struct buf lines = { 0 }, why = { 0 }, changed = { 0 };
    must(!signer == !!secret_check(scheme, secret), "a secret that is good has no signer, or the other way round: %.*s", (int)secret.len, secret.at);
    if (!signer)
        return;
    must(signer_add_headers(signer, &(struct signing){ SLICE("evt_1"), NOW_S, SLICE("test"), body }, &lines), "not signed");
    must(signature_scheme_of(buf_slice(&lines)) != SIGNATURE_SCHEMES, "of no scheme");
    struct verifying with = { .scheme = scheme, .secrets = { secret }, .n_secrets = 1, .head = buf_slice(&lines), .body = body, .now_s = NOW_S, .tolerance_s = 300 };
    must(signature_verify(&with, &why) == VERDICT_GOOD, "%.*s", (int)why.len, why.at);
    if (body.len > 0) {
        buf_add_slice(&changed, body);
        changed.at[draw(chance, changed.len)] ^= (char)(1 << draw(chance, 8));
        with.body = buf_slice(&changed);
        enum verdict verdict = signature_verify(&with, &why);
        must(verdict == VERDICT_DIFFERENT || verdict == VERDICT_BODY, "a changed body has verdict %d", (int)verdict);
    }
    buf_fini(&lines);
    buf_fini(&why);
    buf_fini(&changed);
    signer_free(signer);
}

static void check_network(struct slice text)
{
    struct guard *guard = guard_new();
    if (!text.at)
        text = SLICE("");
    guard_allow(guard, text);
    guard_free(guard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = input(data, size), head = all, body = slice(all.at + all.len, 0);
    struct chance chance = chance_of(all);
    const char *end = memmem(all.at, all.len, "\n\n", 2);
    if (end) {
        head.len = (size_t)(end + 1 - all.at);
        body = slice(end + 2, all.len - head.len - 1);
    }
    check_retry_after(http_head_find(head, "retry-after"), &chance);
    check_schedule(http_head_find(head, "retry"), &chance);
    check_network(http_head_find(head, "network"));
    struct slice secret = http_head_find(head, "secret");
    for (int i = 0; i < SIGNATURE_SCHEMES; i++) {
        check_stranger((enum signature_scheme)i, head, body);
        check_own((enum signature_scheme)i, secret, body, &chance);
    }
    return 0;
}
