/* proof.lua tries the rights that scripts need before anything else is done: so it has to try each command that any of them calls. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "redis/bus/redis_scripts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* The name behind redis.call(' or redis.pcall(' at or after `at`; empty: no more. */
static struct slice next_call(const char **at, const char *end)
{
    static const char mark[] = "call('";
    const char *found = memmem(*at, (size_t)(end - *at), mark, sizeof mark - 1);
    if (!found)
        return slice("", 0);
    const char *name = found + sizeof mark - 1, *stop = name;
    while (stop < end && isupper((unsigned char)*stop))
        stop++;
    *at = stop;
    return slice(name, (size_t)(stop - name));
}

/* INFO may be missing: then less is known, and nothing is done by halves. */
static bool is_tried(struct slice command)
{
    struct slice proof = redis_script_text(REDIS_PROOF);
    char probe[64];
    int n = snprintf(probe, sizeof probe, "{ '%.*s'", (int)command.len, command.at);
    return slice_is(command, SLICE("INFO")) || memmem(proof.at, proof.len, probe, (size_t)n);
}

static void every_command_of_every_script_is_tried_before_it_is_needed(void **state)
{
    unsigned calls = 0;
    (void)state;
    for (enum redis_script script = 0; script < REDIS_SCRIPTS; script++) {
        struct slice text = redis_script_text(script), command;
        for (const char *at = text.at; (command = next_call(&at, text.at + text.len)).len > 0; calls++)
            if (!is_tried(command))
                fail_msg("%.*s is called by script %d, and proof.lua does not try it", (int)command.len, command.at, (int)script);
    }
    assert_true(calls > 2 * REDIS_SCRIPTS);      /* they were found at all */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_command_of_every_script_is_tried_before_it_is_needed) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
