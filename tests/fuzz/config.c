/* hub/config/config.h: a file is loaded or every mistake has its line; and a configuration that is written out loads as itself. */
#define _GNU_SOURCE      /* memfd_create, memmem */
#include "hub/config/config.h"

#include "hub/base/err.h"
#include "hub/config/config_value.h"
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

static int load(struct slice text, struct config_report *report, const struct config **ret_config)
{
    char path[64];
    int fd = memfd_create("carillon.ini", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, text.at, text.len) == (ssize_t)text.len && !lseek(fd, 0, SEEK_SET), "no file");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int err = config_load_file(path, report, ret_config);
    close(fd);
    return err;
}

/* "file:LINE: sentence\n" for each, whatever bytes the file had. */
static void must_be_told(const struct config_report *report, size_t lines_in_file)
{
    struct slice rest = buf_slice(&report->errors);
    size_t told = 0;
    for (; rest.len > 0; told++) {
        const char *end = memchr(rest.at, '\n', rest.len);
        must(end, "an error without an end");
        struct slice line = slice(rest.at, (size_t)(end - rest.at));
        for (size_t i = 0; i < line.len; i++)
            must((unsigned char)line.at[i] >= ' ' && line.at[i] != 0x7f, "byte %02x in an error", (unsigned char)line.at[i]);
        const char *number = memmem(line.at, line.len, "/fd/", 4);
        number = number ? memchr(number, ':', (size_t)(end - number)) : NULL;
        must(told >= 1000 || (number && strtoul(number + 1, NULL, 10) >= 1 && strtoul(number + 1, NULL, 10) <= lines_in_file),
             "no line of the file: %.*s", (int)line.len, line.at);
        rest = slice(end + 1, rest.len - line.len - 1);
    }
    must(told == report->error_count || (told == 1001 && report->error_count > 1000), "%zu errors, %zu told", report->error_count, told);
}

static void print_keys(const struct config *config, struct buf *out)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        buf_addf(out, "[%s]\n%s=", config_keys[i].section, config_keys[i].key);
        config_value_print(config, &config_keys[i], out);
        buf_add_char(out, '\n');
    }
}

static void must_load_as_itself(const struct config *config)
{
    struct buf written = { 0 }, again = { 0 };
    struct config_report report = { 0 };
    const struct config *read;
    print_keys(config, &written);
    int err = load(buf_slice(&written), &report, &read);
    must(!err, "refused when written out: %.*s", (int)report.errors.len, buf_slice(&report.errors).at);
    print_keys(read, &again);
    must_be_same(buf_slice(&written), buf_slice(&again), "settings");
    config_unref(read);
    config_report_fini(&report);
    buf_fini(&written);
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = input(data, size);
    struct config_report report = { 0 };
    const struct config *config;
    size_t lines = 1;
    for (size_t i = 0; i < in.len; i++)
        lines += in.at[i] == '\n';
    int err = load(in, &report, &config);
    must(err == (report.error_count ? ERR_CONFIG : 0), "%d with %zu errors", err, report.error_count);
    must_be_told(&report, lines);
    if (!err) {
        must_load_as_itself(config);
        config_unref(config);
    }
    config_report_fini(&report);
    return 0;
}
