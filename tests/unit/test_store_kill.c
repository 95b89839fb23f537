/* A process that is killed in the middle of its commits, again and again, on one store: every acknowledged row is there,
 * what is there is a beginning of what was submitted, every prev is right, and no number comes twice. */
#include "tests/unit/store_rig.h"

enum { CHANNELS = 17, ROUNDS = 10 };

/* The number before in the same channel: what the hub would have set. */
struct chains {
    uint64_t last[CHANNELS];
};

static uint64_t *last_of(struct chains *chains, const struct msg *m)
{
    struct slice channel = msg_channel(m);
    return &chains->last[strtoul(channel.at + sizeof "room." - 1, NULL, 10) % CHANNELS];
}

static int restore_chain(void *arg, struct msg *m)
{
    *last_of(arg, m) = m->seq;
    return 0;
}

static void add_next(struct store_group *group, struct chains *chains, uint64_t seq)
{
    struct msg *m = msg_of(seq, 0);
    uint64_t *last = last_of(chains, m);
    m->prev = *last;
    *last = seq;
    group_add(group, m);
}

static struct store_group *next_group(struct rig *rig, struct chains *chains, uint64_t *next, uint64_t *reserved)
{
    struct store_group *group = group_new(rig);
    size_t rows = (size_t)rand() % 4 ? (size_t)rand() % 40 : (size_t)rand() % 2000;
    if (*next + 4000 > *reserved)
        group->reserve = *next + 10000;
    while (group->n < rows && *next < *reserved)
        add_next(group, chains, (*next)++);
    return group;
}

/* Two groups under way, and the highest number of each answer told to the parent, until killed. */
static int commit_for_ever(struct rig *rig, void *arg)
{
    int told = *(int *)arg;
    struct chains chains = { 0 };
    if (rig_try_open(rig) || store_load(rig->store, restore_chain, &chains))
        return 1;
    rig_start(rig);
    uint64_t next = rig->start.next, reserved = rig->start.reserved;
    store_submit(rig->store, next_group(rig, &chains, &next, &reserved));
    for (;;) {
        store_submit(rig->store, next_group(rig, &chains, &next, &reserved));
        struct store_group *group = rig_answer(rig);
        uint64_t high = group->n ? group->msgs[group->n - 1]->seq : 0;
        if (group->err || (high && write(told, &high, sizeof high) != sizeof high))
            return 2;
        if (group->reserve)
            reserved = group->reserve;
        group_free(group);
    }
}

/* Kills it after so many answers; the highest number that was acknowledged. */
static uint64_t run_and_kill(struct rig *rig, int answers)
{
    int ends[2], status = 0;
    uint64_t high, acknowledged = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        srand((unsigned)getpid());
        close(ends[0]);
        _exit(commit_for_ever(rig, &ends[1]));
    }
    close(ends[1]);
    for (int told = 0; read(ends[0], &high, sizeof high) == sizeof high; told++) {
        acknowledged = high;
        if (told == answers)
            kill(pid, SIGKILL);
    }
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("the child ended by itself: status %x", (unsigned)status);
    return acknowledged;
}

struct check {
    struct chains chains;
    uint64_t      highest, rows;
};

static int check_row(void *arg, struct msg *m)
{
    struct check *check = arg;
    uint64_t *last = last_of(&check->chains, m);
    struct msg *expected = msg_of(m->seq, *last);
    assert_true(m->seq > check->highest);
    assert_same_msg(m, expected);
    *last = check->highest = m->seq;
    check->rows++;
    msg_unref(expected);
    return 0;
}

static void every_acknowledged_row_survives_kill_9_in_the_middle_of_commits(void **state)
{
    struct rig *rig = *state;
    uint64_t epoch = 0, begin = 0, rows_before = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct check check = { 0 };
        uint64_t acknowledged = run_and_kill(rig, 3 + round * round * 4);
        if (rig_try_open(rig))
            fail_msg("round %d: %s", round, rig->why);
        assert_int_equal(store_load(rig->store, check_row, &check), 0);
        if (check.highest < acknowledged)
            fail_msg("round %d: acknowledged up to %llu, kept up to %llu", round, (unsigned long long)acknowledged,
                     (unsigned long long)check.highest);
        assert_true(acknowledged > begin && check.rows > rows_before);
        assert_true(rig->start.next > check.highest);
        assert_true(!epoch || rig->start.epoch == epoch);
        epoch = rig->start.epoch;
        begin = rig->start.next - 1;
        rows_before = check.rows;
        store_close(rig->store);
        rig->store = NULL;
    }
}

/* Rows that follow one another without a hole within a run: the count tells, because each run has one block of numbers. */
static void what_is_kept_is_a_beginning_of_what_was_submitted(void **state)
{
    struct rig *rig = *state;
    struct check check = { 0 };
    uint64_t acknowledged = run_and_kill(rig, 200);
    assert_int_equal(rig_try_open(rig), 0);
    assert_int_equal(store_load(rig->store, check_row, &check), 0);
    assert_true(check.rows == check.highest && check.highest >= acknowledged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_acknowledged_row_survives_kill_9_in_the_middle_of_commits, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(what_is_kept_is_a_beginning_of_what_was_submitted, rig_setup, rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
