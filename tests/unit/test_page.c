/* The page of --dev tells a shell where the API is, whatever its address has in it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "transports/page.h"

#include <string.h>

static void assert_has(const char *api, const char *written)
{
    struct buf page = { 0 };
    page_add(&page, api);
    buf_add_char(&page, '\0');
    assert_false(page.failed);
    assert_non_null(strstr(page.at, written));
    assert_null(strstr(page.at, "{api}"));
    assert_int_equal(strlen(page.at), page.len - 1);
    assert_memory_equal(page.at, "<!doctype html>", 15);
    assert_string_equal(page.at + page.len - 1 - strlen("</html>\n"), "</html>\n");
    buf_fini(&page);
}

static void the_page_has_the_address_of_the_api(void **state)
{
    (void)state;
    assert_has("http://127.0.0.1:9001", "<meta name=\"carillon-api\" content=\"http://127.0.0.1:9001\">");
    assert_has("", "<meta name=\"carillon-api\" content=\"\">");
}

static void a_path_of_a_socket_stays_an_attribute(void **state)
{
    (void)state;
    assert_has("unix:/run/a\"b&<c>.sock", "<meta name=\"carillon-api\" content=\"unix:/run/a&#34;b&#38;&#60;c&#62;.sock\">");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_has_the_address_of_the_api),
        cmocka_unit_test(a_path_of_a_socket_stays_an_attribute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
