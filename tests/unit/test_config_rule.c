/* [channel "PATTERN"]: which rule a channel gets, what is wrong with one, and what is told about it. */
#include "config_fixture.h"

static const char rules_text[] =
    "[history]\nsize = 50\n[lag]\nbytes = 2MiB\n"
    "[channel \"chat.lobby\"]\nhistory.size = 1000\nlag.policy = skip\nlag.bytes = 3MiB\n"
    "[channel \"chat.quiet\"]\n"
    "[channel \"chat.**\"]\npresence = yes\npublish = no\nmessage = 1MiB\nlag.policy = skip\nanonymous = no\n"
    "[channel \"logs.*\"]\nhistory.ttl = 0\nlast = yes\nlag.bytes = 64KiB\nlag.policy = skip\n";

static void the_first_rule_that_matches_counts_and_the_rest_is_as_set_in_general(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, rules_text), 0);
    const struct channel_rule *lobby = config_channel_rule(f->config, SLICE("chat.lobby"));
    const struct channel_rule *quiet = config_channel_rule(f->config, SLICE("chat.quiet"));
    const struct channel_rule *chat = config_channel_rule(f->config, SLICE("chat.lobby.2"));
    const struct channel_rule *logs = config_channel_rule(f->config, SLICE("logs.a"));
    const struct channel_rule *other = config_channel_rule(f->config, SLICE("logs.a.b"));
    assert_int_equal(lobby->history_size, 1000);
    assert_int_equal(lobby->lag_policy, LAG_SKIP);
    assert_true(lobby->publish && lobby->anonymous && !lobby->presence);
    assert_string_equal(quiet->pattern, "chat.quiet");      /* a heading alone is a rule */
    assert_true(quiet->publish && quiet->history_size == 50);
    assert_true(chat->presence && !chat->publish && !chat->anonymous && chat->message == 1 << 20);
    assert_true(logs->last && !rule_keeps(logs) && rule_keeps(chat) && logs->lag_bytes == 65536 && lobby->lag_bytes == 3 << 20);
    assert_ptr_equal(other, &f->config->general_rule);
    assert_string_equal(other->pattern, "");
    assert_true(other->history_size == 50 && other->message == 65536 && other->presence_grace_ms == 5000);
    assert_int_equal(f->config->message_most, 1 << 20);
    assert_true(f->config->last_any && !strstr(notes(f), "effect"));
}

static void a_pattern_has_the_strictest_rule_that_its_channels_can_have(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, rules_text), 0);
    assert_int_equal(config_pattern_rule(f->config, SLICE("**"))->lag_policy, LAG_DISCONNECT);
    assert_string_equal(config_pattern_rule(f->config, SLICE("logs.*"))->pattern, "logs.*");
    assert_string_equal(config_pattern_rule(f->config, SLICE("*.a"))->pattern, "");
    assert_string_equal(config_pattern_rule(f->config, SLICE("chat.*"))->pattern, "chat.quiet");
    assert_string_equal(config_pattern_rule(f->config, SLICE("chat.a.**"))->pattern, "chat.**");
    assert_int_equal(config_pattern_rule(f->config, SLICE("chat.lobby"))->lag_policy, LAG_SKIP);
    assert_true(config_pattern_anonymous(f->config, SLICE("logs.**")) && config_pattern_anonymous(f->config, SLICE("chat.lobby")));
    assert_false(config_pattern_anonymous(f->config, SLICE("*.lobby.**")) || config_pattern_anonymous(f->config, SLICE("**")));
    assert_int_equal(load(f, "[lag]\npolicy=skip\n[channel \"a.*\"]\nlag.bytes=9\n[channel \"**\"]\nlag.bytes=7\n"), 0);
    assert_int_equal(config_pattern_rule(f->config, SLICE("a.*"))->lag_bytes, 9);     /* the first covers it: no other rule comes in */
    assert_int_equal(config_pattern_rule(f->config, SLICE("a.**"))->lag_bytes, 7);
}

static void wrong_rules_are_told_with_their_lines(void **state)
{
    struct fixture *f = *state;
    static const char *const parts[] = {
        "c.ini:1: a rule says for which channels", "c.ini:3: channel \"a**\" is not a pattern", "c.ini:4: channel \"a.**.b\" is not",
        "c.ini:6: channel \"ok\": history.sise is not a setting of channels; did you mean history.size?",
        "c.ini:7: channel \"ok\": message: \"99MiB\" is more than 1MiB", "c.ini:8: channel \"ok\": lag.policy: \"foo\" is not one of disconnect|skip",
        "c.ini:9: channel.lag.policy is there already", "c.ini:10: channel \"ok\" has a section already, at ", "c.ini:11: channel \"ok\": publish: \"maybe\" is neither",
    };
    assert_int_equal(load(f, "[channel]\nx=1\n[channel \"a**\"]\n[channel \"a.**.b\"]\n[channel \"ok\"]\nhistory.sise=4\nmessage=99MiB\n"
                             "lag.policy=foo\nlag.policy=skip\n[channel \"ok\"]\npublish=maybe\n"), ERR_CONFIG);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_contains(errors(f), parts[i]);
    assert_int_equal(FLAGS(f, "--channel.publish=no"), ERR_CONFIG);
    assert_contains(errors(f), "a rule stands in the file of settings");
    assert_int_equal(load(f, "[channel \"a.**\"]\n[channel \"a.b\"]\nlast=1\n"), 0);
    assert_contains(notes(f), "c.ini:2: [channel \"a.b\"] never counts: [channel \"a.**\"] at ");
}

static void more_rules_than_there_may_be_are_a_mistake(void **state)
{
    struct fixture *f = *state;
    struct buf text = { 0 };
    for (int i = 0; i < CHANNEL_RULES_MAX; i++)
        buf_addf(&text, "[channel \"c.%d\"]\nhistory.size=%d\n", i, i);
    assert_int_equal(load_bytes(f, text.at, text.len), 0);
    assert_int_equal(config_channel_rule(f->config, SLICE("c.999"))->history_size, 999);
    buf_add_str(&text, "[channel \"d\"]\n");
    assert_int_equal(load_bytes(f, text.at, text.len), ERR_CONFIG);
    assert_contains(errors(f), "c.ini:2001: more than 1000 rules");
    buf_fini(&text);
}

static void what_a_rule_says_and_why_it_is_the_one_can_be_told(void **state)
{
    struct fixture *f = *state;
    struct buf text = { 0 };
    assert_int_equal(load(f, rules_text), 0);
    config_rule_explain(f->config, SLICE("chat.x"), &text);
    assert_contains(text_of(&text), "c.ini:5: [channel \"chat.lobby\"] does not match\n");
    assert_contains(text_of(&text), "c.ini:10: [channel \"chat.**\"] matches chat.x: its rule\n");
    assert_contains(text_of(&text), "history.size     = 50           as history.size\n");
    assert_contains(text_of(&text), "c.ini:12\n");
    assert_null(strstr(text_of(&text), "logs"));
    buf_reset(&text);
    config_rule_explain(f->config, SLICE("x"), &text);
    assert_contains(text_of(&text), "no [channel \"…\"] section matches x: the general settings hold\n");
    assert_contains(text_of(&text), "lag.bytes        = 2MiB         as lag.bytes\n");
    buf_fini(&text);
}

static void dev_knows_members_unless_told_otherwise(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(FLAGS(f, "--dev"), 0);
    assert_true(config_channel_rule(f->config, SLICE("x"))->presence);
    assert_int_equal(FLAGS(f, "--dev", "--presence.members=no"), 0);
    assert_false(f->config->general_rule.presence);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(the_first_rule_that_matches_counts_and_the_rest_is_as_set_in_general),
        WITH_FILE(a_pattern_has_the_strictest_rule_that_its_channels_can_have),
        WITH_FILE(wrong_rules_are_told_with_their_lines),
        WITH_FILE(more_rules_than_there_may_be_are_a_mistake),
        WITH_FILE(what_a_rule_says_and_why_it_is_the_one_can_be_told),
        WITH_FILE(dev_knows_members_unless_told_otherwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
