/* tls.cert and tls.key: what makes TLS, what is a mistake, and what a reload does with a certificate that has changed. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/base/err.h"
#include "hub/config/config.h"
#include "tests/unit/own_certificate.h"
#include "tests/unit/own_dir.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
    struct own_dir dir;
    char cert[OWN_FILE_MAX], key[OWN_FILE_MAX], cert_flag[OWN_FILE_MAX + 16], key_flag[OWN_FILE_MAX + 16];
    struct config_report report;
    const struct config *config;
};

static void renew(struct fixture *f, long seconds)
{
    struct own_certificate own = own_certificate_new(seconds);
    own_certificate_write(&own, f->cert, f->key);
    own_certificate_free(&own);
}

static int setup(void **state)
{
    struct fixture *f = *state = calloc(1, sizeof *f);
    if (own_dir_make(&f->dir))
        return -1;
    own_dir_file(&f->dir, "cert.pem", f->cert);
    own_dir_file(&f->dir, "key.pem", f->key);
    snprintf(f->cert_flag, sizeof f->cert_flag, "--tls.cert=%s", f->cert);
    snprintf(f->key_flag, sizeof f->key_flag, "--tls.key=%s", f->key);
    renew(f, 90 * 86400L);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    config_unref(f->config);
    config_report_fini(&f->report);
    own_dir_remove(&f->dir);
    free(f);
    return 0;
}

static int load(struct fixture *f, int argc, char *const *argv)
{
    config_unref(f->config);
    f->config = NULL;
    config_report_fini(&f->report);
    return config_load(argc, argv, &f->report, &f->config);
}

static int load_both(struct fixture *f)
{
    static char *argv[2];
    argv[0] = f->cert_flag;
    argv[1] = f->key_flag;
    return load(f, 2, argv);
}

static bool says(const struct buf *text, const char *what)
{
    char copy[4096];
    snprintf(copy, sizeof copy, "%.*s", (int)text->len, buf_slice(text).at);
    return strstr(copy, what);
}

static void without_them_there_is_no_tls(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, 0, NULL), 0);
    assert_null(f->config->tls);
}

static void certificate_and_key_make_tls(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load_both(f), 0);
    assert_non_null(f->config->tls);
    assert_int_equal(f->report.notes.len, 0);
}

static void one_without_the_other_is_a_mistake(void **state)
{
    struct fixture *f = *state;
    char *cert[] = { f->cert_flag }, *key[] = { f->key_flag };
    assert_int_equal(load(f, 1, cert), ERR_CONFIG);
    assert_true(says(&f->report.errors, "--tls.cert") && says(&f->report.errors, "tls.key is missing"));
    assert_int_equal(load(f, 1, key), ERR_CONFIG);
    assert_true(says(&f->report.errors, "tls.cert is missing"));
}

static void files_that_cannot_be_read_are_named(void **state)
{
    struct fixture *f = *state;
    unlink(f->cert);
    assert_int_equal(load_both(f), ERR_CONFIG);
    assert_true(says(&f->report.errors, f->cert) && says(&f->report.errors, "No such file"));
    FILE *rubbish = fopen(f->cert, "w");
    fputs("no certificate\n", rubbish);
    fclose(rubbish);
    assert_int_equal(load_both(f), ERR_CONFIG);
    assert_true(says(&f->report.errors, "is no certificate in PEM form"));
}

static void a_key_of_another_certificate_is_a_mistake(void **state)
{
    struct fixture *f = *state;
    struct own_certificate other = own_certificate_new(86400);
    FILE *key = fopen(f->key, "w");
    PEM_write_PrivateKey(key, other.key, NULL, NULL, 0, NULL, NULL);
    fclose(key);
    own_certificate_free(&other);
    assert_int_equal(load_both(f), ERR_CONFIG);
    assert_true(says(&f->report.errors, "does not belong to the certificate"));
}

static void a_key_with_a_passphrase_is_refused_without_asking(void **state)
{
    struct fixture *f = *state;
    struct own_certificate own = own_certificate_new(86400);
    own_certificate_write(&own, f->cert, f->key);
    FILE *key = fopen(f->key, "w");
    PEM_write_PKCS8PrivateKey(key, own.key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
    fclose(key);
    own_certificate_free(&own);
    assert_int_equal(load_both(f), ERR_CONFIG);
    assert_true(says(&f->report.errors, "without passphrase"));
}

static void a_certificate_that_ends_soon_or_has_ended_is_noted(void **state)
{
    struct fixture *f = *state;
    renew(f, 3 * 86400L + 60);
    assert_int_equal(load_both(f), 0);
    assert_true(says(&f->report.notes, "expires in 3 days"));
    renew(f, -60);
    assert_int_equal(load_both(f), 0);
    assert_true(says(&f->report.notes, "has expired"));
}

static void a_reload_takes_the_new_certificate_and_keeps_the_old_one_when_it_is_broken(void **state)
{
    struct fixture *f = *state;
    const struct config *fresh;
    assert_int_equal(load_both(f), 0);
    renew(f, 30 * 86400L);
    assert_int_equal(config_reload(f->config, &f->report, &fresh), 0);
    assert_ptr_not_equal(fresh->tls, f->config->tls);
    config_unref(f->config);
    f->config = fresh;
    unlink(f->key);
    assert_int_equal(config_reload(f->config, &f->report, &fresh), ERR_CONFIG);
    assert_non_null(f->config->tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_them_there_is_no_tls, setup, teardown),
        cmocka_unit_test_setup_teardown(certificate_and_key_make_tls, setup, teardown),
        cmocka_unit_test_setup_teardown(one_without_the_other_is_a_mistake, setup, teardown),
        cmocka_unit_test_setup_teardown(files_that_cannot_be_read_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_of_another_certificate_is_a_mistake, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_with_a_passphrase_is_refused_without_asking, setup, teardown),
        cmocka_unit_test_setup_teardown(a_certificate_that_ends_soon_or_has_ended_is_noted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reload_takes_the_new_certificate_and_keeps_the_old_one_when_it_is_broken, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
