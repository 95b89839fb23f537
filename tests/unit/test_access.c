#include "hub/access/access.h"

#include "hub/base/err.h"
#include "hub/config/config.h"

#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#define WORDS(...) { (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *) }

static struct api_key key(const char *name, const char *secret, struct words scopes)
{
    struct api_key k = { .name = name, .scopes = scopes };
    SHA256((const unsigned char *)secret, strlen(secret), k.sha256);
    return k;
}

static void anonymous_may_what_access_opens_and_never_administer(void **state)
{
    (void)state;
    struct config config = { .access_subscribe = WORDS("news.**", "open"), .access_publish = WORDS("chat.*"), .access_history = WORDS("**") };
    struct principal *p = principal_anonymous(&config);
    assert_int_equal(principal_may(p, OP_SUBSCRIBE, SLICE("news.a.b")), 0);
    assert_int_equal(principal_may(p, OP_SUBSCRIBE, SLICE("open")), 0);
    assert_int_equal(principal_may(p, OP_SUBSCRIBE, SLICE("chat.a")), ERR_UNAUTHENTICATED);
    assert_int_equal(principal_may(p, OP_PUBLISH, SLICE("chat.a")), 0);
    assert_int_equal(principal_may(p, OP_PUBLISH, SLICE("chat.a.b")), ERR_UNAUTHENTICATED);
    assert_int_equal(principal_may(p, OP_PUBLISH, SLICE("news.a")), ERR_UNAUTHENTICATED);
    assert_int_equal(principal_may(p, OP_HISTORY, SLICE("anything")), 0);
    assert_int_equal(principal_may(p, OP_PRESENCE, SLICE("anything")), ERR_UNAUTHENTICATED);
    assert_int_equal(principal_may(p, OP_ADMIN, SLICE("open")), ERR_UNAUTHENTICATED);
    assert_int_equal(principal_may(p, OP_ADMIN, SLICE("")), ERR_UNAUTHENTICATED);
    assert_true(slice_is(principal_name(p), SLICE("anonymous")));
    assert_int_equal(principal_user(p).len, 0);
    principal_unref(p);
}

static void anonymous_is_one_for_all_and_follows_the_config(void **state)
{
    (void)state;
    struct config closed = { 0 }, open = { .access_publish = WORDS("**") };
    struct principal *a = principal_anonymous(&closed), *b = principal_anonymous(&closed), *c = principal_anonymous(&open);
    assert_ptr_equal(a, b);
    assert_int_equal(principal_may(a, OP_PUBLISH, SLICE("x")), ERR_UNAUTHENTICATED);
    assert_int_equal(principal_may(c, OP_PUBLISH, SLICE("x")), 0);
    principal_unref(a);
    principal_unref(b);
    principal_unref(c);
}

static void dev_may_everything_and_believes_a_user(void **state)
{
    (void)state;
    struct config dev = { .dev = true }, closed = { 0 };
    struct principal *p = principal_anonymous(&dev), *ann = NULL;
    for (int op = 0; op < ACCESS_OPS; op++)
        assert_int_equal(principal_may(p, (enum access_op)op, SLICE("")), 0);
    assert_true(slice_is(principal_name(p), SLICE("dev")));
    principal_unref(p);
    assert_int_equal(principal_dev_user(&dev, SLICE("ann"), &ann), 0);
    assert_true(slice_is(principal_user(ann), SLICE("ann")));
    assert_int_equal(principal_may(ann, OP_ADMIN, SLICE("")), 0);
    principal_unref(ann);
    assert_int_equal(principal_dev_user(&dev, SLICE("J\xc3\xb6rg B."), &ann), 0);      /* as the `sub` of a token */
    principal_unref(ann);
    assert_int_equal(principal_dev_user(&dev, SLICE("a\nb"), &ann), ERR_BAD_CLIENT);
    assert_int_equal(principal_dev_user(&dev, SLICE("a\xff"), &ann), ERR_BAD_CLIENT);
    assert_int_not_equal(principal_dev_user(&closed, SLICE("ann"), &ann), 0);
}

static void a_key_is_known_by_its_hash_and_by_nothing_else(void **state)
{
    (void)state;
    struct words everything = { NULL, 0 };
    struct api_key keys[] = { key("backend", "ck_one", everything), key("other", "ck_two", everything) };
    struct config config = { .keys = keys, .key_count = 2 };
    struct principal *p = NULL;
    assert_int_equal(principal_by_key(&config, SLICE("ck_two"), &p), 0);
    assert_true(slice_is(principal_name(p), SLICE("key other")));
    for (int op = 0; op < ACCESS_OPS; op++)
        assert_int_equal(principal_may(p, (enum access_op)op, SLICE("any")), 0);
    principal_unref(p);
    p = NULL;
    assert_int_equal(principal_by_key(&config, SLICE("ck_tw"), &p), ERR_UNAUTHENTICATED);
    assert_int_equal(principal_by_key(&config, SLICE("ck_twoo"), &p), ERR_UNAUTHENTICATED);
    assert_int_equal(principal_by_key(&config, SLICE(""), &p), ERR_UNAUTHENTICATED);
    assert_int_equal(principal_by_key(&config, slice((const char *)keys[0].sha256, 32), &p), ERR_UNAUTHENTICATED);
    assert_null(p);
}

static void scopes_narrow_a_key_and_what_is_beyond_them_is_forbidden(void **state)
{
    (void)state;
    struct api_key keys[] = {
        key("shop", "k1", (struct words)WORDS("publish:shop.**", "history")),
        key("ops", "k2", (struct words)WORDS("admin", "*:ops.*")),
        key("part", "k3", (struct words)WORDS("admin:shop.**")),
    };
    struct config config = { .keys = keys, .key_count = 3 };
    struct principal *shop, *ops, *part;
    assert_int_equal(principal_by_key(&config, SLICE("k1"), &shop), 0);
    assert_int_equal(principal_by_key(&config, SLICE("k2"), &ops), 0);
    assert_int_equal(principal_by_key(&config, SLICE("k3"), &part), 0);
    assert_int_equal(principal_may(shop, OP_PUBLISH, SLICE("shop.a.b")), 0);
    assert_int_equal(principal_may(shop, OP_PUBLISH, SLICE("shop")), ERR_FORBIDDEN);
    assert_int_equal(principal_may(shop, OP_PUBLISH, SLICE("")), ERR_FORBIDDEN);
    assert_int_equal(principal_may(shop, OP_HISTORY, SLICE("any")), 0);
    assert_int_equal(principal_may(shop, OP_SUBSCRIBE, SLICE("shop.a")), ERR_FORBIDDEN);
    assert_int_equal(principal_may(shop, OP_ADMIN, SLICE("")), ERR_FORBIDDEN);
    assert_int_equal(principal_may(ops, OP_ADMIN, SLICE("")), 0);
    assert_int_equal(principal_may(ops, OP_PUBLISH, SLICE("ops.x")), 0);
    assert_int_equal(principal_may(ops, OP_PUBLISH, SLICE("shop.x")), ERR_FORBIDDEN);
    assert_int_equal(principal_may(part, OP_ADMIN, SLICE("shop.a")), 0);
    assert_int_equal(principal_may(part, OP_ADMIN, SLICE("")), ERR_FORBIDDEN);
    principal_unref(shop);
    principal_unref(ops);
    principal_unref(part);
}

/* An empty channel is asked for where all are meant (a key is made with the scope `publish`, administration): the pattern `*` is not enough. */
static void without_a_channel_only_what_covers_all_will_do(void **state)
{
    (void)state;
    struct config narrow = { .access_subscribe = WORDS("*"), .access_publish = WORDS("*.*", "*") }, wide = { .access_subscribe = WORDS("**") };
    struct principal *nobody = principal_anonymous(&narrow);
    assert_int_equal(principal_may(nobody, OP_SUBSCRIBE, SLICE("one")), 0);
    assert_int_equal(principal_may(nobody, OP_SUBSCRIBE, SLICE("")), ERR_UNAUTHENTICATED);
    assert_int_equal(principal_may(nobody, OP_PUBLISH, SLICE("")), ERR_UNAUTHENTICATED);
    principal_unref(nobody);
    nobody = principal_anonymous(&wide);
    assert_int_equal(principal_may(nobody, OP_SUBSCRIBE, SLICE("")), 0);
    principal_unref(nobody);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anonymous_may_what_access_opens_and_never_administer),
        cmocka_unit_test(anonymous_is_one_for_all_and_follows_the_config),
        cmocka_unit_test(dev_may_everything_and_believes_a_user),
        cmocka_unit_test(a_key_is_known_by_its_hash_and_by_nothing_else),
        cmocka_unit_test(scopes_narrow_a_key_and_what_is_beyond_them_is_forbidden),
        cmocka_unit_test(without_a_channel_only_what_covers_all_will_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
