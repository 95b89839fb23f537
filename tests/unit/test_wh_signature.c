/* Signatures: published vectors of each scheme, rotation, secrets that are good and bad, and what `verify` says about mistakes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/signature.h"
#include "webhooks/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first is of the Standard Webhooks libraries' own tests, the Hello, World! one of GitHub's documentation; the others are the
 * same inputs, computed with Python's hmac. */
static const struct {
    enum signature_scheme scheme;
    const char *secret, *old_secret, *id;
    int64_t     time_s;
    const char *event, *body, *lines;
} vectors[] = {
    { SIGNATURE_STANDARD, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", NULL, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, "test", "{\"test\": 2432232314}",
      "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\nwebhook-timestamp: 1614265330\nwebhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n" },
    { SIGNATURE_GITHUB, "It's a Secret to Everybody", NULL, "evt_1", 1614265330, "test", "Hello, World!",
      "X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\n" },
    { SIGNATURE_X_WEBHOOK, "It's a Secret to Everybody", NULL, "evt_1", 1614265330, "order.created", "Hello, World!",
      "X-Webhook-Id: evt_1\nX-Webhook-Timestamp: 1614265330\nX-Webhook-Event: order.created\n"
      "X-Webhook-Signature: 757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\n" },
    { SIGNATURE_X_WEBHOOK_SHA256, "It's a Secret to Everybody", NULL, "evt_1", 1614265330, "order.created", "Hello, World!",
      "X-Webhook-Id: evt_1\nX-Webhook-Timestamp: 1614265330\nX-Webhook-Event: order.created\n"
      "X-Webhook-Signature: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\n" },
    { SIGNATURE_STANDARD, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "evt_1", 1700000000, "order.created",
      "{\"id\":\"evt_1\",\"type\":\"order.created\",\"data\":{\"total\":9.90}}",
      "webhook-id: evt_1\nwebhook-timestamp: 1700000000\nwebhook-signature: v1,v3QWybtccEmMjxPwlEkIY+xLABFKMsKfCi+Pnb+sK/M= v1,+bWmOh3WRxzahqM/dPUuA/QrO+Zl28di26rcSkIq2gQ=\n" },
    { SIGNATURE_TIMESTAMPED, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", NULL, "evt_1", 1700000000, "order.created",
      "{\"id\":\"evt_1\",\"type\":\"order.created\",\"data\":{\"total\":9.90}}",
      "X-Timestamp: 1700000000\nX-Signature: sha256=4331a03d91d998a1711d8f5ef7b699c0359feec301a891785853399146008f41\n" },
    { SIGNATURE_TIMESTAMPED, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "evt_1", 1700000000, "order.created",
      "{\"id\":\"evt_1\",\"type\":\"order.created\",\"data\":{\"total\":9.90}}",
      "X-Timestamp: 1700000000\nX-Signature: sha256=4331a03d91d998a1711d8f5ef7b699c0359feec301a891785853399146008f41\nX-Signature-Previous: sha256=5d20eb8bdcc0f49910e091b314c5244b44187624341d973c9b41f299caa98ed3\n" },
    { SIGNATURE_GITHUB, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "evt_1", 1700000000, "order.created",
      "{\"id\":\"evt_1\",\"type\":\"order.created\",\"data\":{\"total\":9.90}}",
      "X-Hub-Signature-256: sha256=002b20f68d5b9a33ae274759af0d481732cc229da08111a4423769310067713d\nX-Hub-Signature-256-Previous: sha256=26da4bfccfe7706b01398f4e0aefc6b24ac46d60bb5ad0f524c77dc4cc2d7235\n" },
    { SIGNATURE_STRIPE, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", NULL, "evt_1", 1700000000, "order.created",
      "{\"id\":\"evt_1\",\"type\":\"order.created\",\"data\":{\"total\":9.90}}",
      "Stripe-Signature: t=1700000000,v1=4331a03d91d998a1711d8f5ef7b699c0359feec301a891785853399146008f41\n" },
    { SIGNATURE_STRIPE, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "evt_1", 1700000000, "order.created",
      "{\"id\":\"evt_1\",\"type\":\"order.created\",\"data\":{\"total\":9.90}}",
      "Stripe-Signature: t=1700000000,v1=4331a03d91d998a1711d8f5ef7b699c0359feec301a891785853399146008f41,v1=5d20eb8bdcc0f49910e091b314c5244b44187624341d973c9b41f299caa98ed3\n" },
};

static struct signing signing_of(size_t i)
{
    return (struct signing){ slice_of(vectors[i].id), vectors[i].time_s, slice_of(vectors[i].event), slice_of(vectors[i].body) };
}

static void each_scheme_signs_as_its_published_vectors_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct slice secrets[] = { slice_of(vectors[i].secret), slice_of(vectors[i].old_secret ? vectors[i].old_secret : "") };
        struct signer *signer = signer_new(vectors[i].scheme, secrets, vectors[i].old_secret ? 2 : 1);
        struct signing signing = signing_of(i);
        assert_non_null(signer);
        for (int again = 0; again < 3; again++) {
            struct buf lines = { 0 };
            assert_true(signer_add_headers(signer, &signing, &lines));
            if (!slice_is(buf_slice(&lines), slice_of(vectors[i].lines)))
                fail_msg("%s:\n%.*s", signature_forms[vectors[i].scheme].name, (int)lines.len, lines.at);
            buf_fini(&lines);
        }
        signer_free(signer);
    }
}

static void schemes_have_names(void **state)
{
    enum signature_scheme scheme = SIGNATURE_SCHEMES;
    (void)state;
    for (int i = 0; i < SIGNATURE_SCHEMES; i++) {
        assert_true(signature_scheme_find(slice_of(signature_forms[i].name), &scheme));
        assert_int_equal(scheme, i);
    }
    assert_false(signature_scheme_find(SLICE("md5"), &scheme));
    assert_false(signature_scheme_find(SLICE(""), &scheme));
}

/* ---- secrets ---- */

static void a_made_secret_is_good_for_every_scheme_and_never_the_same(void **state)
{
    char one[SECRET_MADE], two[SECRET_MADE];
    (void)state;
    assert_true(secret_make(one) && secret_make(two));
    assert_string_not_equal(one, two);
    assert_int_equal(strlen(one), SECRET_MADE - 1);
    for (int i = 0; i < SIGNATURE_SCHEMES; i++)
        assert_null(secret_check((enum signature_scheme)i, slice_of(one)));
}

static void a_bad_secret_is_told(void **state)
{
    static const struct { enum signature_scheme scheme; const char *secret, *says; } bad[] = {
        { SIGNATURE_STANDARD, "", "whsec_" }, { SIGNATURE_STANDARD, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" },
        { SIGNATURE_STANDARD, "whsec_", "base64" }, { SIGNATURE_STANDARD, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "base64" },
        { SIGNATURE_STANDARD, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_", "base64" }, { SIGNATURE_STANDARD, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa S", "base64" },
        { SIGNATURE_STANDARD, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2L=LaSw", "base64" }, { SIGNATURE_STANDARD, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaL===", "base64" },
        { SIGNATURE_STANDARD, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La", "24" },
        { SIGNATURE_STANDARD, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "64" },
        { SIGNATURE_GITHUB, "short", "16" }, { SIGNATURE_STRIPE, "fifteen bytes..", "16" }, { SIGNATURE_GITHUB, " with white space around it ", "white space" },
        { SIGNATURE_GITHUB, "with a\nnewline in it", "printable" }, { SIGNATURE_X_WEBHOOK, "with an \xc3\xbc in it, and long", "printable" },
    };
    char too_long[SECRET_MAX + 2];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *wrong = secret_check(bad[i].scheme, slice_of(bad[i].secret));
        if (!wrong || !strstr(wrong, bad[i].says))
            fail_msg("%s: %s", bad[i].secret, wrong ? wrong : "is good");
        assert_null(signer_new(bad[i].scheme, &(struct slice){ bad[i].secret, strlen(bad[i].secret) }, 1));
    }
    memset(too_long, 'x', sizeof too_long);
    assert_non_null(secret_check(SIGNATURE_GITHUB, slice(too_long, SECRET_MAX + 1)));
    assert_null(secret_check(SIGNATURE_GITHUB, slice(too_long, SECRET_MAX)));
    assert_null(secret_check(SIGNATURE_GITHUB, SLICE("It's a Secret to Everybody")));
    assert_null(signer_new(SIGNATURE_GITHUB, NULL, 0));
}

/* ---- verifying ---- */

static struct verifying verifying_of(size_t i)
{
    return (struct verifying){ .scheme = vectors[i].scheme, .secrets = { slice_of(vectors[i].secret) }, .n_secrets = 1, .head = slice_of(vectors[i].lines),
        .body = slice_of(vectors[i].body), .now_s = vectors[i].time_s + 20, .tolerance_s = 300 };
}

static void must_be(const struct verifying *with, enum verdict expected, const char *says)
{
    struct buf why = { 0 };
    enum verdict verdict = signature_verify(with, &why);
    char *text = buf_take(&why);
    if (verdict != expected || !strstr(text, says))
        fail_msg("%s: %d, %s", signature_forms[with->scheme].name, (int)verdict, text);
    free(text);
}

static void what_is_signed_verifies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct verifying with = verifying_of(i);
        must_be(&with, VERDICT_GOOD, "good");
        assert_int_equal(signature_scheme_of(with.head), vectors[i].scheme);
        if (!vectors[i].old_secret)
            continue;
        with.secrets[0] = slice_of(vectors[i].old_secret);       /* a receiver that has only the old one */
        must_be(&with, VERDICT_GOOD, "good");
        with.secrets[0] = SLICE("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        with.secrets[1] = slice_of(vectors[i].old_secret);
        with.n_secrets = 2;
        must_be(&with, VERDICT_GOOD_OLD, "second");
    }
}

static void a_time_that_is_far_away_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct verifying with = verifying_of(i);
        bool timed = strchr(signature_forms[with.scheme].signs, 't');
        with.now_s = vectors[i].time_s + 301;
        must_be(&with, timed ? VERDICT_CLOCK : VERDICT_GOOD, timed ? "301 s ago" : "good");
        with.now_s = vectors[i].time_s - 301;
        must_be(&with, timed ? VERDICT_CLOCK : VERDICT_GOOD, timed ? "301 s ahead" : "good");
        with.now_s = vectors[i].time_s - 300;
        must_be(&with, VERDICT_GOOD, "good");
    }
}

static void headers_that_are_missing_or_of_another_scheme_are_told(void **state)
{
    struct verifying with = verifying_of(0);
    (void)state;
    with.head = SLICE("");
    must_be(&with, VERDICT_NO_HEADER, "no header webhook-signature");
    with.head = slice_of(vectors[1].lines);
    must_be(&with, VERDICT_NO_HEADER, "headers of the scheme github");
    with.head = SLICE("webhook-timestamp: 1614265330\nwebhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n");
    must_be(&with, VERDICT_NO_HEADER, "no header webhook-id");
    with.head = SLICE("webhook-id: x\nWebhook-Signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n");
    must_be(&with, VERDICT_NO_HEADER, "no header webhook-timestamp");
    with.head = SLICE("webhook-id: x\nwebhook-timestamp: soon\nwebhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n");
    must_be(&with, VERDICT_BAD_HEADER, "no time");
    with.head = SLICE("webhook-id: x\nwebhook-timestamp: 1614265330\nwebhook-signature: v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n");
    must_be(&with, VERDICT_BAD_HEADER, "no signature of the scheme standard");
    with.head = SLICE("webhook-id: x\nwebhook-timestamp: 1614265330\nwebhook-signature: v1,nonsense\n");
    must_be(&with, VERDICT_BAD_HEADER, "44 letters");
    with.scheme = SIGNATURE_STRIPE;
    with.head = SLICE("Stripe-Signature: v1=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\n");
    must_be(&with, VERDICT_BAD_HEADER, "no time");
}

static void signatures_of_other_versions_are_passed_over(void **state)
{
    struct verifying with = verifying_of(0);
    (void)state;
    with.head = SLICE("webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\nwebhook-timestamp: 1614265330\n"
                      "webhook-signature: v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg== "
                      "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n");
    must_be(&with, VERDICT_GOOD, "good");
}

static void a_secret_in_the_wrong_form_is_told(void **state)
{
    struct verifying standard = verifying_of(0), github = verifying_of(1);
    (void)state;
    standard.secrets[0] = SLICE("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    must_be(&standard, VERDICT_SECRET, "decoded from base64");
    standard.secrets[0] = SLICE("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    must_be(&standard, VERDICT_SECRET, "white space");
    github.secrets[0] = SLICE("It's a Secret to Everybody\r\n");
    must_be(&github, VERDICT_SECRET, "white space");
    github.secrets[0] = SLICE("whsec_It's a Secret to Everybody");
    must_be(&github, VERDICT_SECRET, "without whsec_");
    standard.secrets[0] = SLICE("whsec_short");
    must_be(&standard, VERDICT_SECRET, "base64");
    standard.n_secrets = 0;
    must_be(&standard, VERDICT_SECRET, "is not there");
}

static void a_body_that_was_changed_in_a_usual_way_is_told(void **state)
{
    static const struct { const char *body, *says; } changed[] = {
        { "Hello, World!\n", "without the newline" }, { "Hello, World!\r\n", "without the newline" }, { "\xef\xbb\xbfHello, World!", "byte order" },
    };
    struct verifying with = verifying_of(1);
    (void)state;
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
        with.body = slice_of(changed[i].body);
        must_be(&with, VERDICT_BODY, changed[i].says);
    }
    with.body = SLICE("Hello, world!");
    must_be(&with, VERDICT_DIFFERENT, "the secret is another one, or the body");
    with = verifying_of(1);
    with.secrets[0] = SLICE("It's another one's Secret");
    must_be(&with, VERDICT_DIFFERENT, "the secret is another one, or the body");
}

/* What was signed, and what the receiver made of it. */
static void must_tell_of_body(const char *was, const char *is, const char *says)
{
    struct slice secret = SLICE("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    struct signer *signer = signer_new(SIGNATURE_STANDARD, &secret, 1);
    struct buf lines = { 0 };
    assert_true(signer_add_headers(signer, &(struct signing){ SLICE("evt_1"), 1700000000, SLICE("test"), slice_of(was) }, &lines));
    struct verifying with = { .scheme = SIGNATURE_STANDARD, .secrets = { secret }, .n_secrets = 1, .head = buf_slice(&lines), .body = slice_of(is),
        .now_s = 1700000000, .tolerance_s = 300 };
    must_be(&with, VERDICT_BODY, says);
    buf_fini(&lines);
    signer_free(signer);
}

static void a_body_that_was_read_and_written_again_is_told(void **state)
{
    (void)state;
    must_tell_of_body("{\"a\":[1,2,\" x \\\" y \"],\"b\":{}}", "{\n  \"a\": [1, 2, \" x \\\" y \"],\n  \"b\": {}\n}\n", "written again");
    must_tell_of_body("{\"a\":1}\n", "{\"a\":1}", "with a newline");
    must_tell_of_body("a\nb\nc", "a\r\nb\r\nc", "LF");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_scheme_signs_as_its_published_vectors_say),
        cmocka_unit_test(schemes_have_names),
        cmocka_unit_test(a_made_secret_is_good_for_every_scheme_and_never_the_same),
        cmocka_unit_test(a_bad_secret_is_told),
        cmocka_unit_test(what_is_signed_verifies),
        cmocka_unit_test(a_time_that_is_far_away_is_told),
        cmocka_unit_test(headers_that_are_missing_or_of_another_scheme_are_told),
        cmocka_unit_test(signatures_of_other_versions_are_passed_over),
        cmocka_unit_test(a_secret_in_the_wrong_form_is_told),
        cmocka_unit_test(a_body_that_was_changed_in_a_usual_way_is_told),
        cmocka_unit_test(a_body_that_was_read_and_written_again_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
