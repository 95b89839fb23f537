/* Rooms: who is told what when members come, speak, go away, come back and leave. */
#include "tests/unit/rooms_rig.h"

static int open_rig(void **state)
{
    static struct rooms_rig rig;
    rig_open(&rig);
    *state = &rig;
    return rig.rooms ? 0 : -1;
}

static int close_rig(void **state)
{
    rig_close(*state);
    return 0;
}

/* Ann on 1 and Bob on 2, both in "r". */
static void two(struct rooms_rig *rig, char ann[64], char bob[64])
{
    assert_int_equal(rig_join(rig, 1, "r", "ann"), 0);
    rig_ticket(rig, ann);
    assert_int_equal(rig_join(rig, 2, "r", "bob"), 0);
    rig_ticket(rig, bob);
    rig_forget(rig);
}

/* ---- coming ---- */

static void the_newcomer_is_polite_and_those_who_are_there_are_told_of_it(void **state)
{
    struct rooms_rig *rig = *state;
    assert_int_equal(rig_join(rig, 1, "r", "ann"), 0);
    assert_answer_has(rig, ",\"room\":\"r\",\"users\":[],\"you\":{\"user_id\":\"ann\"");
    struct room_call bob = { .order = ROOM_JOIN, .room = SLICE("r"), .user = SLICE("bob"), .info = SLICE("{\"x\" : 1}"), .state = SLICE("true") };
    assert_int_equal(rig_run(rig, 2, &bob), 0);
    assert_answer_has(rig, "\"users\":[{\"user_id\":\"ann\",\"info\":null,\"state\":null,\"polite\":true}]");
    assert_told(rig, 1, "{\"type\":\"user-joined\",\"room\":\"r\",\"seq\":1,\"user_id\":\"bob\",\"info\":{\"x\" : 1},\"state\":true,\"polite\":false}\n");
    assert_told(rig, 2, "");
    assert_int_equal(rig_join(rig, 3, "r", "cat"), 0);
    assert_answer_has(rig, "{\"user_id\":\"ann\",\"info\":null,\"state\":null,\"polite\":true},{\"user_id\":\"bob\",\"info\":{\"x\" : 1},\"state\":true,\"polite\":true}");
}

static void a_room_holds_as_many_as_it_may_and_a_connection_is_in_as_many_as_it_may(void **state)
{
    struct rooms_rig *rig = *state;
    rig->config.general_room_rule.capacity = 2;
    rig->config.rooms_per_connection = 2;
    rig->config.rooms_max = 3;
    assert_int_equal(rig_join(rig, 1, "a", "u1"), 0);
    assert_int_equal(rig_join(rig, 2, "a", "u2"), 0);
    assert_int_equal(rig_join(rig, 3, "a", "u3"), ERR_ROOM_FULL);
    assert_int_equal(rig_join(rig, 1, "b", "u1"), 0);
    assert_int_equal(rig_join(rig, 1, "c", "u1"), ERR_TOO_MANY_ROOMS);
    assert_int_equal(rig_join(rig, 3, "c", "u1"), 0);
    assert_int_equal(rig_join(rig, 3, "d", "u1"), ERR_ROOMS_FULL);
    assert_int_equal(rig_join(rig, 3, "c", "u9"), ERR_ALREADY_JOINED);
}

static void only_those_open_a_room_whom_its_rule_allows_it(void **state)
{
    struct rooms_rig *rig = *state;
    struct room_call call = { .order = ROOM_JOIN, .room = SLICE("r"), .user = SLICE("ann"), .asker.is_nobody = true };
    rig->config.general_room_rule.create = CREATE_USERS;
    assert_int_equal(rig_run(rig, 1, &call), ERR_NO_SUCH_ROOM);
    call.asker.is_nobody = false;
    rig->config.general_room_rule.create = CREATE_API;
    assert_int_equal(rig_run(rig, 1, &call), ERR_NO_SUCH_ROOM);
    assert_int_equal(rig_run(rig, 0, &(struct room_call){ .order = ROOM_CREATE, .room = SLICE("r") }), 0);
    assert_int_equal(rig_run(rig, 1, &call), 0);
}

static void a_name_is_one_members_unless_credentials_say_that_it_is_the_same_user(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64];
    two(rig, ann, bob);
    assert_int_equal(rig_join(rig, 3, "r", "ann"), ERR_USER_TAKEN);
    rig_drop(rig, 1);
    assert_int_equal(rig_join(rig, 3, "r", "ann"), ERR_USER_TAKEN);
    rig_forget(rig);
    struct room_call proven = { .order = ROOM_JOIN, .room = SLICE("r"), .user = SLICE("bob"), .asker.is_proven = true };
    assert_int_equal(rig_run(rig, 3, &proven), 0);
    assert_told(rig, 2, "{\"type\":\"left\",\"room\":\"r\",\"user_id\":\"bob\",\"reason\":\"replaced\"}\n");
    assert_false(rig->is_replaced[2]);
    assert_int_equal(rig_resume(rig, 4, "r", ann, 0), 0);
    buf_add_char(&rig->told[4], '\0');
    assert_non_null(strstr(rig->told[4].at, "{\"type\":\"user-left\",\"room\":\"r\",\"seq\":2,\"replay\":true,\"user_id\":\"bob\",\"reason\":\"replaced\"}\n"
                                            "{\"type\":\"user-joined\",\"room\":\"r\",\"seq\":3,\"replay\":true,\"user_id\":\"bob\""));
}

/* ---- speaking ---- */

static void what_is_relayed_keeps_its_bytes_its_order_and_says_who_it_is_from(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64];
    two(rig, ann, bob);
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_OFFER, "bob", ",\"sdp\": 0.10"), 0);
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_CANDIDATE, "bob", ",\"candidate\":null"), 0);
    assert_int_equal(rig_relay(rig, 2, ROOM_FRAME_ANSWER, "", ",\"sdp\":1"), 0);
    assert_told(rig, 2, "{\"type\":\"offer\",\"room\":\"r\",\"from\":\"ann\",\"seq\":1,\"sdp\": 0.10}\n"
                        "{\"type\":\"ice-candidate\",\"room\":\"r\",\"from\":\"ann\",\"seq\":2,\"candidate\":null}\n");
    assert_told(rig, 1, "{\"type\":\"answer\",\"room\":\"r\",\"from\":\"bob\",\"seq\":2,\"sdp\":1}\n");
}

static void who_cannot_get_it_is_named_to_the_sender(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64];
    two(rig, ann, bob);
    assert_int_equal(rig_join(rig, 3, "other", "cat"), 0);
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_OFFER, "cat", ""), ERR_PEER_UNAVAILABLE);
    assert_string_equal(rig->answer.at, ",\"room\":\"r\",\"to\":\"cat\"");
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_OFFER, "ann", ""), ERR_TO_YOURSELF);
    assert_int_equal(rig_relay(rig, 3, ROOM_FRAME_OFFER, "", ""), ERR_PEER_UNAVAILABLE);
    assert_int_equal(rig_relay(rig, 3, ROOM_FRAME_BROADCAST, "", ""), 0);
    assert_int_equal(rig_relay(rig, 9, ROOM_FRAME_OFFER, "bob", ""), ERR_NOT_IN_ROOM);
    rig->is_full[2] = true;
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_OFFER, "bob", ""), ERR_PEER_BUSY);
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_BROADCAST, "", ",\"x\":1"), ERR_PEER_BUSY);
    assert_string_equal(rig->answer.at, ",\"room\":\"r\",\"delivered\":0,\"to\":[\"bob\"]");
    assert_told(rig, 2, "");
    rig->is_full[2] = false;
    rig->has_no_memory = true;
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_OFFER, "bob", ""), ERR_MEMORY);
    rig->has_no_memory = false;
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_OFFER, "bob", ""), 0);
    assert_told(rig, 2, "{\"type\":\"offer\",\"room\":\"r\",\"from\":\"ann\",\"seq\":1}\n");
}

static void the_room_may_be_left_out_while_there_is_only_one(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64];
    two(rig, ann, bob);
    assert_int_equal(rig_join(rig, 1, "s", "ann"), 0);
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_OFFER, "bob", ""), ERR_ROOM_NEEDED);
    struct room_call leave = { .order = ROOM_LEAVE, .room = SLICE("s") };
    assert_int_equal(rig_run(rig, 1, &leave), 0);
    assert_string_equal(rig->answer.at, ",\"room\":\"s\",\"user_id\":\"ann\",\"reason\":\"left\"");
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_OFFER, "bob", ""), 0);
}

static void what_has_a_number_of_its_sender_is_relayed_once(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64];
    two(rig, ann, bob);
    assert_int_equal(rig_relay_numbered(rig, 1, ROOM_FRAME_OFFER, "nobody", "", 1), ERR_PEER_UNAVAILABLE);
    assert_int_equal(rig_relay_numbered(rig, 1, ROOM_FRAME_OFFER, "bob", ",\"a\":1", 2), 0);
    assert_int_equal(rig_relay_numbered(rig, 1, ROOM_FRAME_OFFER, "bob", ",\"a\":1", 2), 0);
    assert_string_equal(rig->answer.at, ",\"room\":\"r\",\"duplicate\":true");
    assert_int_equal(rig_relay_numbered(rig, 1, ROOM_FRAME_BROADCAST, "", ",\"a\":2", 5), 0);
    assert_int_equal(rig_relay_numbered(rig, 1, ROOM_FRAME_BROADCAST, "", ",\"a\":2", 5), 0);
    assert_string_equal(rig->answer.at, ",\"room\":\"r\",\"duplicate\":true");
    assert_int_equal(rig_relay_numbered(rig, 1, ROOM_FRAME_OFFER, "nobody", "", 4), ERR_PEER_UNAVAILABLE);
    assert_int_equal(rig_relay_numbered(rig, 1, ROOM_FRAME_BROADCAST, "", ",\"a\":3", 4), 0);
    assert_int_equal(rig_relay_numbered(rig, 1, ROOM_FRAME_BROADCAST, "", ",\"a\":3", 4), 0);
    assert_string_equal(rig->answer.at, ",\"room\":\"r\",\"duplicate\":true");
    assert_told(rig, 2, "{\"type\":\"offer\",\"room\":\"r\",\"from\":\"ann\",\"seq\":1,\"a\":1}\n{\"type\":\"broadcast\",\"room\":\"r\",\"from\":\"ann\",\"seq\":2,\"a\":2}\n"
                        "{\"type\":\"broadcast\",\"room\":\"r\",\"from\":\"ann\",\"seq\":3,\"a\":3}\n");
    rig_drop(rig, 1);
    assert_int_equal(rig_resume(rig, 3, "r", ann, 0), 0);
    assert_answer_has(rig, "\"n\":5,\"missing\":[1,3],");
    assert_int_equal(rig_relay_numbered(rig, 3, ROOM_FRAME_BROADCAST, "", "", 40), 0);
    assert_int_equal(rig_relay_numbered(rig, 3, ROOM_FRAME_BROADCAST, "", "", 3), 0);
    assert_string_equal(rig->answer.at, ",\"room\":\"r\",\"duplicate\":true");
}

static void who_comes_later_sees_the_state_that_was_told_last(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64];
    two(rig, ann, bob);
    struct room_text *rest = room_text_new(SLICE(",\"state\":{\"mic\":false}"));
    struct room_call call = { .order = ROOM_STATE, .state = SLICE("{\"mic\":false}"), .rest = rest };
    assert_int_equal(rig_run(rig, 1, &call), 0);
    assert_told(rig, 2, "{\"type\":\"state\",\"room\":\"r\",\"from\":\"ann\",\"seq\":1,\"state\":{\"mic\":false}}\n");
    assert_int_equal(rig_join(rig, 3, "r", "cat"), 0);
    assert_answer_has(rig, "{\"user_id\":\"ann\",\"info\":null,\"state\":{\"mic\":false},\"polite\":true}");
    room_text_unref(rest);
}

/* ---- away and back ---- */

static void who_comes_back_in_time_is_the_same_and_gets_what_came_meanwhile(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64];
    two(rig, ann, bob);
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_OFFER, "bob", ",\"a\":1"), 0);
    rig_drop(rig, 2);
    assert_told(rig, 1, "{\"type\":\"user-away\",\"room\":\"r\",\"seq\":2,\"user_id\":\"bob\"}\n");
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_CANDIDATE, "bob", ",\"a\":2"), 0);
    assert_int_equal(rig_join(rig, 4, "r", "cat"), 0);
    assert_answer_has(rig, "{\"user_id\":\"bob\",\"info\":null,\"state\":null,\"polite\":true,\"away\":true}");
    rig_forget(rig);
    rig_pass(rig, 14999);
    assert_int_equal(rig_resume(rig, 3, "r", bob, -1), 0);
    assert_answer_has(rig, "\"users\":[{\"user_id\":\"ann\",\"info\":null,\"state\":null,\"polite\":true},{\"user_id\":\"cat\",\"info\":null,\"state\":null,\"polite\":false}]");
    assert_answer_has(rig, "\"resumed\":true,\"recovered\":true");
    assert_told(rig, 3, "{\"type\":\"ice-candidate\",\"room\":\"r\",\"from\":\"ann\",\"seq\":2,\"replay\":true,\"a\":2}\n"
                        "{\"type\":\"user-joined\",\"room\":\"r\",\"seq\":3,\"replay\":true,\"user_id\":\"cat\",\"info\":null,\"state\":null,\"polite\":false}\n");
    assert_told(rig, 1, "{\"type\":\"user-back\",\"room\":\"r\",\"seq\":4,\"user_id\":\"bob\"}\n");
    rig_pass(rig, 60000);
    assert_told(rig, 1, "");
}

static void who_does_not_come_back_has_left_when_its_grace_is_over(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64];
    two(rig, ann, bob);
    rig_drop(rig, 2);
    rig_forget(rig);
    rig_pass(rig, 14999);
    assert_told(rig, 1, "");
    rig_pass(rig, 1);
    assert_told(rig, 1, "{\"type\":\"user-left\",\"room\":\"r\",\"seq\":3,\"user_id\":\"bob\",\"reason\":\"timeout\"}\n");
    assert_int_equal(rig_resume(rig, 3, "r", bob, -1), ERR_RESUME_FAILED);
    assert_int_equal(rig_join(rig, 3, "r", "bob"), 0);
}

static void what_was_written_into_a_dying_socket_is_told_again(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64];
    two(rig, ann, bob);
    for (int i = 0; i < 4; i++)
        assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_CANDIDATE, "bob", ""), 0);
    rig_forget(rig);
    assert_int_equal(rig_resume(rig, 3, "r", bob, 2), 0);
    assert_true(rig->is_replaced[2]);
    assert_told(rig, 3, "{\"type\":\"ice-candidate\",\"room\":\"r\",\"from\":\"ann\",\"seq\":3,\"replay\":true}\n"
                        "{\"type\":\"ice-candidate\",\"room\":\"r\",\"from\":\"ann\",\"seq\":4,\"replay\":true}\n");
    assert_told(rig, 1, "");
    assert_int_equal(rig_relay(rig, 2, ROOM_FRAME_OFFER, "ann", ""), ERR_NOT_IN_ROOM);
    rig_drop(rig, 2);
    assert_told(rig, 1, "");
    assert_int_equal(rig_relay(rig, 3, ROOM_FRAME_OFFER, "ann", ""), 0);
}

static void what_is_not_kept_any_more_is_admitted(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64];
    two(rig, ann, bob);
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_OFFER, "bob", ""), 0);
    rig_pass(rig, 60001);
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_OFFER, "bob", ""), 0);
    assert_int_equal(rig_resume(rig, 3, "r", bob, 0), 0);
    assert_answer_has(rig, "\"recovered\":false");
    rig_drop(rig, 3);
    assert_int_equal(rig_resume(rig, 4, "r", bob, 1), 0);
    assert_answer_has(rig, "\"recovered\":true");
    rig_drop(rig, 4);
    assert_int_equal(rig_resume(rig, 5, "r", bob, 77), 0);
    assert_answer_has(rig, "\"recovered\":false");
}

static void an_absent_member_keeps_so_much_and_then_it_is_busy(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64];
    rig->config.rooms_queue = 3;
    two(rig, ann, bob);
    rig_drop(rig, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_CANDIDATE, "bob", ""), 0);
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_CANDIDATE, "bob", ""), ERR_PEER_BUSY);
    assert_string_equal(rig->answer.at, ",\"room\":\"r\",\"to\":\"bob\"");
    assert_int_equal(rig_join(rig, 3, "r", "cat"), 0);      /* which Bob sees in the list */
    rig_forget(rig);
    assert_int_equal(rig_resume(rig, 4, "r", bob, 0), 0);
    assert_answer_has(rig, "\"seq\":4},");
    assert_answer_has(rig, "\"recovered\":false");
    assert_answer_has(rig, "\"user_id\":\"cat\"");
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_CANDIDATE, "bob", ""), 0);
}

static void a_large_frame_waits_for_who_is_away_also_where_less_than_that_is_kept(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64], large[3000];
    rig->config.rooms_queue_bytes = 2048;
    two(rig, ann, bob);
    snprintf(large, sizeof large, ",\"sdp\":\"%02900d\"", 0);
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_OFFER, "bob", large), 0);
    rig_drop(rig, 2);
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_OFFER, "bob", large), 0);
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_OFFER, "bob", large), ERR_PEER_BUSY);
    rig_forget(rig);
    assert_int_equal(rig_resume(rig, 3, "r", bob, -1), 0);
    assert_answer_has(rig, "\"recovered\":true");
    assert_int_equal(rig->told[3].len, 2900 + strlen("{\"type\":\"offer\",\"room\":\"r\",\"from\":\"ann\",\"seq\":2,\"replay\":true,\"sdp\":\"\"}\n"));
}

static void the_ticket_of_somebody_else_opens_nothing(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64], forged[64];
    two(rig, ann, bob);
    rig_drop(rig, 2);
    struct room_call call = { .order = ROOM_JOIN, .room = SLICE("r"), .user = SLICE("bob"), .resume = slice_of(ann) };
    assert_int_equal(rig_run(rig, 3, &call), ERR_RESUME_FAILED);
    for (size_t i = 0; i < strlen(bob); i++) {
        strcpy(forged, bob);
        forged[i] = forged[i] == 'A' ? 'B' : 'A';
        assert_int_equal(rig_resume(rig, 3, "r", forged, -1), ERR_RESUME_FAILED);
    }
    assert_int_equal(rig_resume(rig, 3, "r", "", -1), ERR_BAD_USER);
    assert_int_equal(rig_resume(rig, 3, "r", "short", -1), ERR_RESUME_FAILED);
    assert_int_equal(rig_resume(rig, 3, "elsewhere", bob, -1), ERR_RESUME_FAILED);
    assert_int_equal(rig_resume(rig, 1, "r", bob, -1), ERR_ALREADY_JOINED);
    assert_int_equal(rig_resume(rig, 3, "r", bob, -1), 0);
}

static void a_member_with_credentials_needs_them_to_come_back(void **state)
{
    struct rooms_rig *rig = *state;
    char ticket[64];
    struct room_call call = { .order = ROOM_JOIN, .room = SLICE("r"), .user = SLICE("ann"), .asker.is_proven = true };
    assert_int_equal(rig_run(rig, 1, &call), 0);
    rig_ticket(rig, ticket);
    assert_int_equal(rig_resume(rig, 2, "r", ticket, -1), ERR_RESUME_FAILED);
    call = (struct room_call){ .order = ROOM_JOIN, .room = SLICE("r"), .user = SLICE("eve"), .asker.is_proven = true, .resume = slice_of(ticket) };
    assert_int_equal(rig_run(rig, 2, &call), ERR_RESUME_FAILED);
    call = (struct room_call){ .order = ROOM_JOIN, .room = SLICE("r"), .user = SLICE("ann"), .asker.is_proven = true, .resume = slice_of(ticket) };
    assert_int_equal(rig_run(rig, 2, &call), 0);
}

static void a_page_that_was_loaded_again_may_begin_anew(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64], again[64];
    two(rig, ann, bob);
    struct room_call call = { .order = ROOM_JOIN, .room = SLICE("r"), .resume = slice_of(ann), .fresh = true };
    assert_int_equal(rig_run(rig, 3, &call), 0);
    rig_ticket(rig, again);
    assert_string_not_equal(ann, again);
    assert_answer_has(rig, "\"users\":[{\"user_id\":\"bob\",\"info\":null,\"state\":null,\"polite\":true}],\"you\":{\"user_id\":\"ann\"");
    assert_answer_has(rig, "\"resumed\":false");
    assert_told(rig, 2, "{\"type\":\"user-left\",\"room\":\"r\",\"seq\":1,\"user_id\":\"ann\",\"reason\":\"replaced\"}\n"
                        "{\"type\":\"user-joined\",\"room\":\"r\",\"seq\":2,\"user_id\":\"ann\",\"info\":null,\"state\":null,\"polite\":false}\n");
    assert_int_equal(rig_resume(rig, 4, "r", ann, -1), ERR_RESUME_FAILED);
}

/* ---- going ---- */

static void whoever_is_put_out_is_told_and_others_are(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64];
    two(rig, ann, bob);
    struct room_call kick = { .order = ROOM_KICK, .room = SLICE("r"), .to = SLICE("bob"), .message = SLICE("out \"now\"") };
    assert_int_equal(rig_run(rig, 1, &kick), 0);
    assert_told(rig, 2, "{\"type\":\"left\",\"room\":\"r\",\"user_id\":\"bob\",\"reason\":\"kicked\",\"message\":\"out \\\"now\\\"\"}\n");
    assert_told(rig, 1, "{\"type\":\"user-left\",\"room\":\"r\",\"seq\":2,\"user_id\":\"bob\",\"reason\":\"kicked\",\"message\":\"out \\\"now\\\"\"}\n");
    assert_int_equal(rig_resume(rig, 2, "r", bob, -1), ERR_RESUME_FAILED);
    rooms_drop(rig->rooms, (struct peer_address){ .connection = 1 }, true);
    assert_int_equal(rig_join(rig, 3, "r", "ann"), 0);
    assert_answer_has(rig, "\"users\":[]");
}

static void a_room_ends_when_it_was_empty_for_long_enough_and_its_events_are_in_order(void **state)
{
    struct rooms_rig *rig = *state;
    assert_int_equal(rig_join(rig, 1, "r", "ann"), 0);
    assert_int_equal(rig_run(rig, 1, &(struct room_call){ .order = ROOM_LEAVE }), 0);
    rig_pass(rig, 29999);
    assert_int_equal(rig_join(rig, 1, "r", "ann"), 0);
    rig_drop(rig, 1);
    rig_pass(rig, 15000 + 29999);
    assert_int_equal(rig_run(rig, 0, &(struct room_call){ .order = ROOM_SHOW, .room = SLICE("r") }), 0);
    rig_pass(rig, 1);
    assert_int_equal(rig_run(rig, 0, &(struct room_call){ .order = ROOM_SHOW, .room = SLICE("r") }), ERR_NOT_FOUND);
    buf_add_char(&rig->events, '\0');
    assert_string_equal(rig->events.at, "room.started {\"room\":\"r\"}\nroom.joined {\"room\":\"r\",\"user_id\":\"ann\",\"info\":null}\n"
                                        "room.left {\"room\":\"r\",\"user_id\":\"ann\",\"reason\":\"left\"}\nroom.joined {\"room\":\"r\",\"user_id\":\"ann\",\"info\":null}\n"
                                        "room.left {\"room\":\"r\",\"user_id\":\"ann\",\"reason\":\"timeout\"}\nroom.ended {\"room\":\"r\",\"reason\":\"empty\"}\n");
    assert_int_equal(rooms_due_ms(rig->rooms), INT64_MAX);
}

static void a_room_that_is_removed_puts_everybody_out(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64];
    two(rig, ann, bob);
    rig_drop(rig, 2);
    rig_forget(rig);
    assert_int_equal(rig_run(rig, 0, &(struct room_call){ .order = ROOM_REMOVE, .room = SLICE("r") }), 0);
    assert_told(rig, 1, "{\"type\":\"left\",\"room\":\"r\",\"user_id\":\"ann\",\"reason\":\"ended\"}\n");
    assert_int_equal(rig_resume(rig, 3, "r", bob, -1), ERR_RESUME_FAILED);
    assert_int_equal(rig_relay(rig, 1, ROOM_FRAME_OFFER, "", ""), ERR_NOT_IN_ROOM);
}

/* ---- the backend ---- */

static void a_backend_lists_changes_and_speaks(void **state)
{
    struct rooms_rig *rig = *state;
    char ann[64], bob[64];
    two(rig, ann, bob);
    struct room_call change = { .order = ROOM_CHANGE, .room = SLICE("r"), .changes = { .has_metadata = true, .metadata = SLICE("{\"t\":1}"), .has_capacity = true, .capacity = 2 } };
    assert_int_equal(rig_run(rig, 0, &change), 0);
    assert_told(rig, 1, "{\"type\":\"room-updated\",\"room\":\"r\",\"seq\":2,\"metadata\":{\"t\":1}}\n");
    assert_int_equal(rig_join(rig, 3, "r", "cat"), ERR_ROOM_FULL);
    rig_forget(rig);
    const struct slice users[] = { SLICE("bob"), SLICE("nobody") };
    struct room_call tell = { .order = ROOM_TELL, .room = SLICE("r"), .frame = ROOM_FRAME_SIGNAL, .users = users, .n_users = 2, .rest = room_text_new(SLICE(",\"data\":1")) };
    struct room_text *rest = tell.rest;
    assert_int_equal(rig_run(rig, 0, &tell), 0);
    assert_int_equal(tell.delivered, 1);
    room_text_unref(rest);
    assert_told(rig, 2, "{\"type\":\"signal\",\"room\":\"r\",\"from\":null,\"seq\":2,\"data\":1}\n");
    assert_int_equal(rig_join(rig, 4, "q", "dan"), 0);
    struct room_call list = { .order = ROOM_LIST, .limit = 1 };
    assert_int_equal(rig_run(rig, 0, &list), 0);
    assert_true(list.more);
    assert_true(slice_is(slice(list.upto, list.upto_len), SLICE("q")));
    list = (struct room_call){ .order = ROOM_LIST, .limit = 1, .after = SLICE("q") };
    assert_int_equal(rig_run(rig, 0, &list), 0);
    assert_false(list.more);
    assert_string_equal(rig->answer.at, "{\"room\":\"r\",\"members\":2,\"away\":0,\"capacity\":2,\"empty_timeout_ms\":30000,\"grace_ms\":15000,"
                                        "\"created\":\"2023-11-14T22:13:20Z\",\"metadata\":{\"t\":1}}");
}

/* ---- credentials of TURN ---- */

static void members_get_fresh_credentials_before_theirs_end(void **state)
{
    struct rooms_rig *rig = *state;
    static const char *const urls[] = { "turn:t" };
    const struct slice key = SLICE("north");
    rig->config.ice_turn = (struct words){ urls, 1 };
    rig->config.ice_keys = &key;
    rig->config.ice_key_count = 1;
    rig->config.ice_ttl_ms = 60000;
    assert_int_equal(rig_join(rig, 1, "r", "ann"), 0);
    assert_answer_has(rig, "\"ice_expires_ms\":60000");
    rig_pass(rig, 44999);
    assert_told(rig, 1, "");
    rig_pass(rig, 1);
    assert_told(rig, 1, "{\"type\":\"ice-servers\",\"room\":\"r\",\"ice_servers\":[{\"urls\":[\"turn:t\"],\"username\":\"1700000105:ann\","
                        "\"credential\":\"LxFACf0juqRmjaLwl2VCh3VYL7I=\"}],\"ice_expires_ms\":60000}\n");
    rig_pass(rig, 45000);
    assert_int_not_equal(rig->told[1].len, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        TEST(the_newcomer_is_polite_and_those_who_are_there_are_told_of_it),
        TEST(a_room_holds_as_many_as_it_may_and_a_connection_is_in_as_many_as_it_may),
        TEST(only_those_open_a_room_whom_its_rule_allows_it),
        TEST(a_name_is_one_members_unless_credentials_say_that_it_is_the_same_user),
        TEST(what_is_relayed_keeps_its_bytes_its_order_and_says_who_it_is_from),
        TEST(who_cannot_get_it_is_named_to_the_sender),
        TEST(the_room_may_be_left_out_while_there_is_only_one),
        TEST(what_has_a_number_of_its_sender_is_relayed_once),
        TEST(who_comes_later_sees_the_state_that_was_told_last),
        TEST(who_comes_back_in_time_is_the_same_and_gets_what_came_meanwhile),
        TEST(who_does_not_come_back_has_left_when_its_grace_is_over),
        TEST(what_was_written_into_a_dying_socket_is_told_again),
        TEST(what_is_not_kept_any_more_is_admitted),
        TEST(an_absent_member_keeps_so_much_and_then_it_is_busy),
        TEST(a_large_frame_waits_for_who_is_away_also_where_less_than_that_is_kept),
        TEST(the_ticket_of_somebody_else_opens_nothing),
        TEST(a_member_with_credentials_needs_them_to_come_back),
        TEST(a_page_that_was_loaded_again_may_begin_anew),
        TEST(whoever_is_put_out_is_told_and_others_are),
        TEST(a_room_ends_when_it_was_empty_for_long_enough_and_its_events_are_in_order),
        TEST(a_room_that_is_removed_puts_everybody_out),
        TEST(a_backend_lists_changes_and_speaks),
        TEST(members_get_fresh_credentials_before_theirs_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
