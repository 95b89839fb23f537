/* What the log is told of readers that fall behind: whoever is conflated all the time fills no log, and nobody is closed or skips in silence. */
#include "edge_world.h"

#include <unistd.h>

/* ---- the log ---- */

static int   standard_error;
static FILE *told_log;

static int begin_logging(void **state)
{
    begin_world(state);
    told_log = tmpfile();
    standard_error = dup(STDERR_FILENO);
    log_setup(LOG_INFO, LOG_TEXT);
    return told_log && standard_error >= 0 && dup2(fileno(told_log), STDERR_FILENO) >= 0 ? 0 : -1;
}

static int end_logging(void **state)
{
    dup2(standard_error, STDERR_FILENO);
    close(standard_error);
    fclose(told_log);
    return end_world(state);
}

/* Lines that have this in them. */
static int lines_with(const char *text)
{
    char line[2048];
    int n = 0;
    rewind(told_log);
    while (fgets(line, sizeof line, told_log))
        n += strstr(line, text) != NULL;
    return n;
}

/* ---- readers ---- */

static void lag(enum lag_policy policy)
{
    world->config.lag_policy = policy;
    world->config.lag_bytes = 8000;
    config_general_rule(&world->config);
}

static void falls_behind(struct client *c)
{
    c->budget = 0;
    for (int i = 0; i < 30; i++) {
        publish_len('a', 1000, true);
        settle();
    }
    client_reads(c, SIZE_MAX);
    settle();
}

static struct client *conflated_reader(void)
{
    lag(LAG_LATEST);
    struct client *c = subscriber(&test_ws, "a");
    settle();
    falls_behind(c);
    return c;
}

static void a_reader_that_is_conflated_again_and_again_is_told_once(void **state)
{
    (void)state;
    int64_t before = metric_sum(METRIC_slow_conflated);
    struct client *c = conflated_reader();
    for (int i = 0; i < 3; i++)
        falls_behind(c);
    assert_int_equal(metric_sum(METRIC_slow_conflated) - before, 4);
    assert_int_equal(lines_with("fell behind channel=a policy=latest"), 1);
}

static void one_that_was_conflated_once_is_not_closed_in_silence(void **state)
{
    (void)state;
    struct client *c = conflated_reader();
    lag(LAG_DISCONNECT);
    falls_behind(c);
    assert_int_equal(c->bye, ERR_SLOW);
    assert_int_equal(lines_with("fell behind channel=a policy=disconnect"), 1);
}

static void nor_does_it_skip_in_silence(void **state)
{
    (void)state;
    struct client *c = conflated_reader();
    lag(LAG_SKIP);
    falls_behind(c);
    falls_behind(c);
    assert_int_equal(lines_with("fell behind channel=a policy=skip"), 2);
}

#define IN_LOG(test) cmocka_unit_test_setup_teardown(test, begin_logging, end_logging)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOG(a_reader_that_is_conflated_again_and_again_is_told_once),
        IN_LOG(one_that_was_conflated_once_is_not_closed_in_silence),
        IN_LOG(nor_does_it_skip_in_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
