/* Which keys were used: the table against a list of what it should know, and its records in the store. */
#include "store_rig.h"

#include "hub/idempotency.h"

static struct idempotency_key key_of(unsigned n, unsigned content)
{
    char text[16];
    struct idempotency_key key;
    struct slice body = slice((const char *)&content, sizeof content);
    snprintf(text, sizeof text, "k%u", n);
    assert_int_equal(idempotency_key_make(SLICE("ann"), SLICE("a"), slice_of(text), &body, 1, &key), 0);
    return key;
}

static struct idempotency_record record_of(unsigned n, int64_t time_ms)
{
    return (struct idempotency_record){ .key = key_of(n, n), .epoch = 7, .seq = n, .time_ms = time_ms, .subscribers = n % 5 };
}

static void add(struct idempotency *table, unsigned n, int64_t time_ms, size_t most)
{
    struct idempotency_record record = record_of(n, time_ms);
    assert_true(idempotency_room(table));
    idempotency_add(table, &record, most);
}

static bool knows(const struct idempotency *table, unsigned n, int64_t since_ms)
{
    struct idempotency_key key = key_of(n, n);
    const struct idempotency_record *found = idempotency_find(table, &key, since_ms);
    return found && found->seq == n && found->subscribers == n % 5;
}

static void keys_are_printable_ascii_of_1_to_255_bytes(void **state)
{
    char long_key[300];
    (void)state;
    memset(long_key, 'k', sizeof long_key);
    static const char *const good[] = { "a", "8e03978e-40d5-43e8-bc93-6894a57f9324", "\"quoted\"", "a b", "~!@#$%^&*()", NULL };
    static const char *const bad[] = { "", " ", " a", "a ", "a\tb", "a\nb", "a\x7f", "\xc3\xa9", "\x01", NULL };
    for (size_t i = 0; good[i]; i++)
        assert_int_equal(idempotency_key_check(slice_of(good[i])), 0);
    for (size_t i = 0; bad[i]; i++)
        assert_int_equal(idempotency_key_check(slice_of(bad[i])), ERR_BAD_KEY);
    assert_int_equal(idempotency_key_check(slice(long_key, 255)), 0);
    assert_int_equal(idempotency_key_check(slice(long_key, 256)), ERR_BAD_KEY);
    assert_int_equal(idempotency_key_check(slice("a\0b", 3)), ERR_BAD_KEY);
}

static void who_asks_and_where_are_part_of_a_key_and_parts_do_not_run_together(void **state)
{
    (void)state;
    const struct slice ways[][3] = {
        { SLICE("ann"), SLICE("a"), SLICE("k") }, { SLICE("bob"), SLICE("a"), SLICE("k") }, { SLICE("ann"), SLICE("b"), SLICE("k") },
        { SLICE("ann"), SLICE("a"), SLICE("l") }, { SLICE("ann"), SLICE("ak"), SLICE("") }, { SLICE("ann"), SLICE(""), SLICE("ak") },
        { SLICE("anna"), SLICE(""), SLICE("k") },
    };
    enum { WAYS = sizeof ways / sizeof *ways };
    struct idempotency_key keys[WAYS];
    for (size_t i = 0; i < WAYS; i++) {
        assert_int_equal(idempotency_key_make(ways[i][0], ways[i][1], ways[i][2], NULL, 0, &keys[i]), 0);
        assert_true(idempotency_wanted(&keys[i]));
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(keys[i].id, keys[j].id, sizeof keys[i].id);
    }
}

static void digests_are_the_same_in_every_run_because_they_stand_in_files(void **state)
{
    (void)state;
    struct idempotency_key key;
    assert_int_equal(idempotency_key_make(SLICE("ann"), SLICE("a"), SLICE("k"), NULL, 0, &key), 0);
    /* printf '\3\0\0\0\0\0\0\0ann\1\0\0\0\0\0\0\0a\1\0\0\0\0\0\0\0k' | sha256sum */
    assert_memory_equal(key.id, "\x68\x20\x51\xcb\xc1\x5d\xdc\xef\x75\x81\xfd\xc5\xbb\xd7\xb0\x98", 16);
}

static void a_key_is_known_until_its_time_is_over(void **state)
{
    struct idempotency table;
    (void)state;
    idempotency_init(&table);
    for (unsigned n = 1; n <= 1000; n++)
        add(&table, n, n, 1 << 20);
    for (unsigned n = 1; n <= 1000; n++)
        assert_int_equal(knows(&table, n, 500), n >= 500);
    assert_false(knows(&table, 1001, 0));
    for (int i = 0; i < 100; i++)
        idempotency_age(&table, 901);
    assert_int_equal(table.n, 100);
    assert_int_equal(idempotency_oldest(&table), 901);
    for (unsigned n = 1; n <= 1000; n++)
        assert_int_equal(knows(&table, n, 0), n > 900);
    for (int i = 0; i < 100; i++)
        idempotency_age(&table, 5000);
    assert_int_equal(table.n + table.cap, 0);      /* and its memory is given back */
    add(&table, 1, 6000, 10);
    assert_true(knows(&table, 1, 0));
    assert_int_equal(idempotency_oldest(&table), 1001);
    idempotency_fini(&table);
}

static void beyond_the_most_the_oldest_goes_and_memory_stays_as_it_is(void **state)
{
    struct idempotency table;
    (void)state;
    idempotency_init(&table);
    for (unsigned n = 1; n <= 20000; n++)
        add(&table, n, 1, 100);
    assert_int_equal(table.n, 100);
    assert_int_equal(table.cap, 128);
    for (unsigned n = 19000; n <= 20000; n++)
        assert_int_equal(knows(&table, n, 0), n > 19900);
    idempotency_fini(&table);
}

static void what_failed_is_taken_back_newest_first_and_only_of_this_epoch(void **state)
{
    struct idempotency table;
    (void)state;
    idempotency_init(&table);
    for (unsigned n = 1; n <= 200; n++)
        add(&table, n, n, 1 << 20);
    idempotency_take_back(&table, 8, 0);
    assert_int_equal(table.n, 200);
    idempotency_take_back(&table, 7, 150);
    for (unsigned n = 1; n <= 200; n++)
        assert_int_equal(knows(&table, n, 0), n <= 150);
    idempotency_fini(&table);
}

/* Adds, ages and take-backs in an order that repeats, beside what must be known. */
static void the_index_agrees_with_a_plain_list_through_thousands_of_changes(void **state)
{
    enum { NAMES = 4000, MOST = 300 };
    struct idempotency table;
    unsigned oldest = 1, newest = 0, random = 12345;
    (void)state;
    idempotency_init(&table);
    for (int step = 0; step < 6000; step++) {
        random = random * 1103515245 + 12345;
        unsigned what = random >> 16 & 7;
        if (what < 6 && newest < NAMES - 1) {
            newest++;
            add(&table, newest, newest, MOST);
            oldest = newest - oldest >= MOST ? newest - MOST + 1 : oldest;
        } else if (what == 6 && newest > oldest + 3) {
            idempotency_take_back(&table, 7, newest - 3);
            newest -= 3;
        } else if (newest > oldest + 2) {
            oldest += 2;
            idempotency_age(&table, oldest);
        }
        assert_int_equal(table.n, newest + 1 - oldest);
        if (step % 50 == 0)
            for (unsigned n = 1; n < NAMES; n += 7)
                assert_int_equal(knows(&table, n, 0), n >= oldest && n <= newest);
    }
    idempotency_fini(&table);
}

/* ---- in the store ---- */

static int load(void *arg, const struct idempotency_record *record)
{
    return idempotency_restore(arg, record, 0, 1 << 20);
}

static void load_all(struct rig *rig, struct idempotency *table)
{
    idempotency_init(table);
    if (rig_try_open(rig))
        fail_msg("not opened: %s", rig->why);
    assert_int_equal(store_load_keys(rig->store, load, table), 0);
    store_close(rig->store);
    rig->store = NULL;
}

static int commit_keys(struct rig *rig, unsigned from, unsigned to, uint64_t trim)
{
    struct idempotency_record records[200];
    struct store_group *group = group_of(rig, from, to);
    for (unsigned n = from; n <= to; n++) {
        records[n - from] = record_of(n, n);
        records[n - from].number = n;
    }
    group->keys = records;
    group->n_keys = to + 1 - from;
    group->keys_trim = trim;
    return rig_commit(rig, group);
}

static void keys_come_back_from_the_store_with_their_messages_and_trimmed_ones_go(void **state)
{
    struct rig *rig = *state;
    struct idempotency table;
    rig_open(rig, STORE_SYNC_BATCH);
    for (unsigned n = 1; n <= 1000; n += 100)
        assert_int_equal(commit_keys(rig, n, n + 99, 0), 0);
    rig_close(rig);
    load_all(rig, &table);
    assert_int_equal(table.n, 1000);
    assert_int_equal(table.next, 1001);
    for (unsigned n = 1; n <= 1000; n++)
        assert_true(knows(&table, n, 0));
    idempotency_fini(&table);
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(commit_keys(rig, 1001, 1001, 501), 0);
    rig_close(rig);
    load_all(rig, &table);
    assert_int_equal(table.n, 501);
    assert_int_equal(idempotency_oldest(&table), 501);
    idempotency_fini(&table);
}

static int commit_and_die(struct rig *rig, void *arg)
{
    (void)arg;
    rig_open(rig, STORE_SYNC_BATCH);
    if (commit_keys(rig, 1, 150, 0))
        return 1;
    kill(getpid(), SIGKILL);
    return 2;
}

static void keys_survive_kill_9_with_their_messages(void **state)
{
    struct rig *rig = *state;
    struct idempotency table;
    assert_int_equal(in_child(rig, commit_and_die, NULL), -SIGKILL);
    load_all(rig, &table);
    assert_int_equal(table.n, 150);
    idempotency_fini(&table);
    assert_kept(rig, 1, 150);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys_are_printable_ascii_of_1_to_255_bytes),
        TEST(who_asks_and_where_are_part_of_a_key_and_parts_do_not_run_together),
        TEST(digests_are_the_same_in_every_run_because_they_stand_in_files),
        TEST(a_key_is_known_until_its_time_is_over),
        TEST(beyond_the_most_the_oldest_goes_and_memory_stays_as_it_is),
        TEST(what_failed_is_taken_back_newest_first_and_only_of_this_epoch),
        TEST(the_index_agrees_with_a_plain_list_through_thousands_of_changes),
        TEST(keys_come_back_from_the_store_with_their_messages_and_trimmed_ones_go),
        TEST(keys_survive_kill_9_with_their_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
