/* [room "PATTERN"], [rooms] and [ice]: which rule a room gets, where secrets come from, and what is wrong with them. */
#include "config_fixture.h"

static void the_first_rule_that_matches_a_room_counts_and_the_rest_is_as_set_in_general(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, "[rooms]\ncapacity = 7\ngrace = 20s\n[room \"class.*\"]\ncapacity = 30\ncreate = api\n[room \"class.**\"]\nempty_timeout = 5m\n[room \"*\"]\ngrace = 0\n"), 0);
    const struct room_rule *class = config_room_rule(f->config, SLICE("class.7")), *deep = config_room_rule(f->config, SLICE("class.7.a"));
    const struct room_rule *one = config_room_rule(f->config, SLICE("lobby")), *other = config_room_rule(f->config, SLICE("a.b"));
    assert_true(class->capacity == 30 && class->create == CREATE_API && class->grace_ms == 20000 && class->empty_timeout_ms == 30000);
    assert_true(deep->capacity == 7 && deep->create == CREATE_ANYBODY && deep->empty_timeout_ms == 300000);
    assert_true(one->grace_ms == 0 && one->capacity == 7);
    assert_ptr_equal(other, &f->config->general_room_rule);
}

static void all_mistakes_in_rules_of_rooms_are_told(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, "[room]\n[room \"a**\"]\n[room \"x\"]\ncapasity = 3\ncapacity = none\n[room \"x\"]\n"), ERR_CONFIG);
    assert_int_equal(f->report.error_count, 5);
    assert_non_null(strstr(errors(f), "a rule says for which rooms it is"));
    assert_non_null(strstr(errors(f), "room \"a**\" is not a pattern"));
    assert_non_null(strstr(errors(f), "did you mean capacity?"));
    assert_non_null(strstr(errors(f), "room \"x\": capacity: \"none\" is not a number"));
    assert_non_null(strstr(errors(f), "room \"x\" has a section already"));
}

static void secrets_of_turn_servers_stand_in_the_settings_or_in_files(void **state)
{
    struct fixture *f = *state;
    char path[OWN_FILE_MAX], text[OWN_FILE_MAX + 128];
    own_dir_file(&f->dir, "turn", path);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs("of a file\n", out);
    fclose(out);
    snprintf(text, sizeof text, "[ice]\nturn = turn:t.example\nsecrets = plain file:%s\n", path);
    assert_int_equal(load(f, text), 0);
    assert_int_equal(f->config->ice_key_count, 2);
    assert_true(slice_is(f->config->ice_keys[0], SLICE("plain")));
    assert_true(slice_is(f->config->ice_keys[1], SLICE("of a file")));
    assert_non_null(strstr(notes(f), "everybody on this machine can read"));
}

static void what_does_not_belong_together_in_ice_is_told(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, "[ice]\nstun = turn:x\nturn = http://x turn:\nuser = u\nsecrets = s file:/nowhere\n"), ERR_CONFIG);
    assert_int_equal(f->report.error_count, 6);
    assert_non_null(strstr(errors(f), "ice.stun: \"turn:x\" is not such a URL"));
    assert_non_null(strstr(errors(f), "ice.turn: \"http://x\""));
    assert_non_null(strstr(errors(f), "ice.turn: \"turn:\""));
    assert_non_null(strstr(errors(f), "ice.password is missing"));
    assert_non_null(strstr(errors(f), "leave one of them out"));
    assert_non_null(strstr(errors(f), "ice.secrets: /nowhere cannot be read"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(the_first_rule_that_matches_a_room_counts_and_the_rest_is_as_set_in_general),
        WITH_FILE(all_mistakes_in_rules_of_rooms_are_told),
        WITH_FILE(secrets_of_turn_servers_stand_in_the_settings_or_in_files),
        WITH_FILE(what_does_not_belong_together_in_ice_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
