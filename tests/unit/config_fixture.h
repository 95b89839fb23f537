/* config_fixture.h — a folder with one file of settings, and what came of loading it. */
#pragma once
#define _GNU_SOURCE      /* own_dir.h: nftw */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/base/err.h"
#include "hub/base/nearest.h"
#include "hub/config/config.h"
#include "hub/config/config_key.h"
#include "hub/config/config_value.h"
#include "tests/unit/own_dir.h"
#include <stdlib.h>
#include <unistd.h>

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

/* A folder with one file of settings, and what came of loading it. */
struct fixture {
    struct own_dir       dir;
    char                 file[OWN_FILE_MAX], flag[OWN_FILE_MAX + 16];
    struct config_report report;
    const struct config *config;
};

static inline int setup(void **state)
{
    struct fixture *f = *state = calloc(1, sizeof *f);
    if (own_dir_make(&f->dir))
        return -1;
    own_dir_file(&f->dir, "c.ini", f->file);
    snprintf(f->flag, sizeof f->flag, "--config=%s", f->file);
    return 0;
}

static inline void forget(struct fixture *f)
{
    config_unref(f->config);
    f->config = NULL;
    config_report_fini(&f->report);
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    extern char **environ;
    forget(f);
    for (char **at = environ; *at;)     /* what a test has set is gone after it, also when it failed */
        if (!strncmp(*at, "CARILLON_", 9)) {
            char *name = strndup(*at, strcspn(*at, "="));
            unsetenv(name);
            free(name);
            at = environ;
        } else {
            at++;
        }
    own_dir_remove(&f->dir);
    free(f);
    return 0;
}

static inline void write_file(const struct fixture *f, const char *text, size_t len)
{
    FILE *out = fopen(f->file, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, len, out), len);
    fclose(out);
}

static inline void write_text(const struct fixture *f, const char *text) { write_file(f, text, strlen(text)); }

static inline int load_bytes(struct fixture *f, const char *text, size_t len)
{
    forget(f);
    write_file(f, text, len);
    return config_load_file(f->file, &f->report, &f->config);
}

static inline int load(struct fixture *f, const char *text) { return load_bytes(f, text, strlen(text)); }

static inline int load_flags(struct fixture *f, int argc, char *const *argv)
{
    forget(f);
    return config_load(argc, argv, &f->report, &f->config);
}

#define FLAGS(f, ...) load_flags(f, (int)(sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *)), (char *[]){ __VA_ARGS__ })

static inline const char *text_of(struct buf *b)
{
    buf_add_char(b, '\0');
    b->len--;
    return b->at;
}

static inline const char *errors(struct fixture *f) { return text_of(&f->report.errors); }
static inline const char *notes(struct fixture *f)  { return text_of(&f->report.notes); }

static inline void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

/* One value for one key of the file; NULL when it was refused, else the value as it is printed. */
static inline const char *told(struct fixture *f, const char *name, const char *value)
{
    static char printed[256];
    const struct config_key *key = config_key_find_name(name);
    struct buf out = { 0 };
    char text[6000];
    assert_non_null(key);
    snprintf(text, sizeof text, "[%s]\n%s = %s\n", key->section, key->key, value);
    if (load(f, text)) {
        assert_null(f->config);
        assert_int_equal(f->report.error_count, 1);
        return NULL;
    }
    config_value_print(f->config, key, &out);
    snprintf(printed, sizeof printed, "%.*s", (int)out.len, buf_slice(&out).at);
    buf_fini(&out);
    return printed;
}

static inline void assert_good(struct fixture *f, const char *name, const char *value, const char *printed)
{
    const char *got = told(f, name, value);
    if (!got)
        fail_msg("%s = %s was refused: %s", name, value, errors(f));
    assert_string_equal(got, printed);
}

static inline void assert_bad(struct fixture *f, const char *name, const char *value, const char *why)
{
    const char *got = told(f, name, value);
    if (got)
        fail_msg("%s = %s was taken as %s", name, value, got);
    assert_contains(errors(f), why);
    assert_contains(errors(f), "c.ini:2: ");
    assert_contains(errors(f), name);
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
