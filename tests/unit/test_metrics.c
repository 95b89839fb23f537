#include "hub/metrics.h"

#include "hub/base/buf.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void *open_and_close_connections(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++)
        metric_add(METRIC_conns_ws, 1);
    for (int i = 0; i < 990; i++)
        metric_add(METRIC_conns_ws, -1);
    return NULL;
}

static void threads_that_ended_still_count(void **state)
{
    (void)state;
    pthread_t threads[4];
    int64_t before = metric_sum(METRIC_conns_ws);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_close_connections, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metric_sum(METRIC_conns_ws) - before, 40);
}

static char *printed(void)
{
    struct buf out = { 0 };
    metrics_print(&out);
    char *text = buf_take(&out);
    assert_non_null(text);
    return text;
}

/* The value of the series that a line begins with. */
static double value_of(const char *text, const char *series)
{
    char start[200];
    snprintf(start, sizeof start, "\n%s ", series);
    const char *line = strstr(text, start);
    if (!line)
        fail_msg("no %s", series);
    return atof(line + strlen(start));
}

static void a_sum_is_printed_under_its_family_and_labels(void **state)
{
    (void)state;
    metric_add(METRIC_slow_closed, 3);
    metric_add(METRIC_slow_skipped, 4);
    metric_add(METRIC_msgs_in, 5);
    char *text = printed();
    assert_true(value_of(text, "carillon_slow_consumers_total{policy=\"disconnect\"}") == 3);
    assert_true(value_of(text, "carillon_slow_consumers_total{policy=\"skip\"}") == 4);
    assert_true(value_of(text, "carillon_messages_published_total") == 5);
    free(text);
}

static void the_histogram_is_cumulative_and_its_last_bucket_is_the_count(void **state)
{
    (void)state;
    metric_time_us(TIME_PUBLISH, 40);
    metric_time_us(TIME_PUBLISH, 50);
    metric_time_us(TIME_PUBLISH, 51);
    metric_time_us(TIME_PUBLISH, 3000000000);
    char *text = printed();
    assert_true(value_of(text, "carillon_publish_seconds_bucket{le=\"5e-05\"}") == 2);
    assert_true(value_of(text, "carillon_publish_seconds_bucket{le=\"0.0001\"}") == 3);
    assert_true(value_of(text, "carillon_publish_seconds_bucket{le=\"10\"}") == 3);
    assert_true(value_of(text, "carillon_publish_seconds_bucket{le=\"+Inf\"}") == 4);
    assert_true(value_of(text, "carillon_publish_seconds_count") == 4);
    assert_true(value_of(text, "carillon_publish_seconds_sum") > 3000);
    free(text);
}

static void the_process_tells_of_itself(void **state)
{
    (void)state;
    char *text = printed();
    assert_true(value_of(text, "process_resident_memory_bytes") > 100000);
    assert_true(value_of(text, "process_open_fds") >= 3);
    assert_true(value_of(text, "process_start_time_seconds") > 1.5e9);
    assert_true(value_of(text, "process_cpu_seconds_total") >= 0);
    free(text);
}

static void every_family_is_described_once_and_before_its_series(void **state)
{
    (void)state;
    char *text = printed(), *rest = text, *line;
    char family[100] = "", seen[100][100];
    int families = 0;
    while ((line = strsep(&rest, "\n")) && *line) {
        if (!strncmp(line, "# HELP ", 7)) {
            assert_int_equal(sscanf(line + 7, "%99s", family), 1);
            for (int i = 0; i < families; i++)
                assert_string_not_equal(seen[i], family);
            strcpy(seen[families++], family);
        } else if (*line != '#') {
            assert_int_equal(strncmp(line, family, strlen(family)), 0);
        }
    }
    assert_true(families > 20);
    assert_true(text[0] == '#');
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_that_ended_still_count),
        cmocka_unit_test(a_sum_is_printed_under_its_family_and_labels),
        cmocka_unit_test(the_histogram_is_cumulative_and_its_last_bucket_is_the_count),
        cmocka_unit_test(the_process_tells_of_itself),
        cmocka_unit_test(every_family_is_described_once_and_before_its_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
