/* Rooms of one hub by chance, against the model of rooms_model.h: members join, speak, lose their connections in every way, come back with what
 * they saw last or without, begin anew, leave, are put out; time goes by. */
#include "tests/unit/rooms_rig.h"
#include "tests/unit/rooms_model.h"

enum { STEPS = 400, SEEDS = 250 };

static struct rooms_rig rig;

static void sim_connect(int connection)
{
    rig.is_replaced[connection] = false;
    buf_reset(&rig.told[connection]);
}
static int         sim_run(int connection, struct room_call *call) { return rig_run(&rig, (uint64_t)connection, call); }
static const char *sim_answer(void)                 { return rig.answer.at; }
static struct buf *sim_told(int connection)         { return &rig.told[connection]; }
static int         sim_closed(int connection)       { return rig.is_replaced[connection] ? ERR_REPLACED : 0; }
static void        sim_pass(int64_t ms)             { rig_pass(&rig, ms); }
static bool        sim_is_asleep(int connection)    { return (void)connection, false; }
static bool        sim_is_unheard(int connection)   { return (void)connection, false; }
static bool        sim_is_dead(int connection)      { return (void)connection, false; }
static void        sim_drop(int connection, bool for_good)
{
    rooms_drop(rig.rooms, (struct peer_address){ .connection = (uint64_t)connection }, for_good);
}

static void whatever_members_do_each_is_told_all_of_it_once_and_in_order(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        rig_open(&rig);
        rig.config.rooms_queue = QUEUE;
        rig.config.general_room_rule.empty_timeout_ms = EMPTY_MS;
        model_begin(seed);
        for (steps = 1; steps <= STEPS; steps++)
            deed();
        model_end();
        assert_int_equal(rooms_due_ms(rig.rooms), INT64_MAX);      /* nothing is left */
        rig_close(&rig);
    }
    assert_true(n_frames > 10000 && n_resumes > 1000 && n_lossy > 100 && n_timeouts > 100 && n_busy > 100 && n_duplicates > 100);
    print_message("%lu frames, %lu resumes (%lu not whole), %lu timeouts, %lu busy\n", n_frames, n_resumes, n_lossy, n_timeouts, n_busy);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(whatever_members_do_each_is_told_all_of_it_once_and_in_order) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
