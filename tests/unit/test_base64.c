/* base64 of payloads in JSON: what buf_add_base64 writes comes back, and nothing else is taken. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/base/base64.h"
#include "hub/base/buf.h"
#include "hub/base/err.h"

static void every_length_comes_back(void **state)
{
    unsigned char bytes[256];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 151 + 7);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        struct buf text = { 0 };
        size_t len = 12345;
        buf_add_base64(&text, bytes, n);
        assert_int_equal(base64_decode(text.at, text.len, &len), 0);
        assert_int_equal(len, n);
        if (n)
            assert_memory_equal(text.at, bytes, n);
        buf_fini(&text);
    }
}

static void what_is_not_exactly_base64_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "A", "AA", "AAA", "A===", "====", "AA=A", "AB==", "AAB=", "AAA\n", " AAA", "AA AA", "AA-A", "AA_A", "AAAA=", "AAAAA===", "=AAA" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[16];
        size_t len = 0;
        strcpy(text, bad[i]);
        if (!base64_decode(text, strlen(text), &len))
            fail_msg("\"%s\" was taken", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(what_is_not_exactly_base64_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
