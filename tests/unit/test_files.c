/* Files that are served: the page of --dev tells a shell where the API is, whatever its address has in it; each has an ETag of its bytes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "transports/files/files.h"

#include <stdlib.h>
#include <string.h>

static void assert_has(const char *api, const char *written)
{
    struct files files;
    assert_int_equal(files_init(&files, api), 0);
    char *page = slice_copy(files.of[FILE_page].bytes);
    assert_non_null(strstr(page, written));
    assert_null(strstr(page, "{api}"));
    assert_int_equal(strlen(page), files.of[FILE_page].bytes.len);
    assert_memory_equal(page, "<!doctype html>", 15);
    assert_string_equal(page + strlen(page) - strlen("</html>\n"), "</html>\n");
    free(page);
    files_fini(&files);
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

/* @ in a header is the ETag of `of`. */
static bool names(const struct file *file, const char *header, const struct file *of)
{
    struct buf sent = { 0 };
    for (; *header; header++)
        if (*header == '@')
            buf_add(&sent, of->etag, FILE_ETAG);
        else
            buf_add_char(&sent, *header);
    bool is_named = file_is_named(file, buf_slice(&sent));
    buf_fini(&sent);
    return is_named;
}

static void an_etag_is_of_the_bytes_and_is_known_again(void **state)
{
    struct files files, same, other;
    (void)state;
    assert_int_equal(files_init(&files, "a") | files_init(&same, "a") | files_init(&other, "b"), 0);
    for (size_t i = 0; i < N_FILES; i++)
        assert_memory_equal(files.of[i].etag, same.of[i].etag, FILE_ETAG);
    assert_memory_not_equal(files.of[FILE_page].etag, other.of[FILE_page].etag, FILE_ETAG);
    assert_memory_not_equal(files.of[FILE_client].etag, files.of[FILE_client_types].etag, FILE_ETAG);

    const struct file *client = &files.of[FILE_client];
    static const char *const yes[] = { "@", "W/@", " @ ", "\"x\", @", "\"x\", W/@, \"y\"", "*" };
    static const char *const no[] = { "", " ", "\"\"", "\"*\"", "x" };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(names(client, yes[i], client));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(names(client, no[i], client));
    assert_false(file_is_named(client, slice(client->etag + 1, FILE_ETAG - 2)));
    assert_false(names(&files.of[FILE_client_types], "@", client));
    files_fini(&files);
    files_fini(&same);
    files_fini(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_has_the_address_of_the_api),
        cmocka_unit_test(a_path_of_a_socket_stays_an_attribute),
        cmocka_unit_test(an_etag_is_of_the_bytes_and_is_known_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
