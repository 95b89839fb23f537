/* Presence against a model that keeps a plain list: who is there, how many connections, what is told; and its pages. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/presence.h"

#include "hub/access/access.h"
#include "hub/base/hash.h"
#include "hub/base/err.h"
#include "hub/config/config.h"

#include <stdio.h>
#include <stdlib.h>

enum { USERS = 12, HALLS = 3, SUBS = 60, STEPS = 30000, GRACE_MS = 5000, PEERS = 2 };

static struct config config;
static struct presence presence;
static int64_t now_ms;
static int64_t grace;
static struct principal *users[USERS];
static const char *const names[HALLS] = { "room", "hall.a", "hall.b" };

/* What the model says: connections and, with none, until when the grace runs; what peers were told last of each. */
static struct seat { bool there; int connections; int64_t until_ms; bool told[PEERS]; int joins, leaves; } seats[HALLS][USERS];
static struct attendance *subs[SUBS];
static int sub_hall[SUBS], sub_user[SUBS];
static int told;

static struct slice channel(int h) { return slice_of(names[h]); }

static int hall_of(struct slice name)
{
    for (int h = 0; h < HALLS; h++)
        if (slice_is(name, channel(h)))
            return h;
    fail();
    return 0;
}

static int user_of(const struct principal *principal)
{
    struct slice user = principal_user(principal);
    uint64_t number = 0;
    assert_true(slice_u64(slice(user.at + 1, user.len - 1), &number));
    return (int)number;
}

static int64_t grace_of(void *self, struct slice name, uint64_t hash)
{
    (void)self, (void)name, (void)hash;
    return grace;
}

static void on_tell(void *self, uint8_t peer, const struct presence_change *change)
{
    struct seat *seat = &seats[hall_of(change->channel)][user_of(change->principal)];
    (void)self;
    assert_int_equal(change->hash, hash_bytes(change->channel));
    if (change->joined)
        seat->joins++;
    else
        seat->leaves++;
    seat->told[peer] = change->joined;
    told++;
}

static void on_asked(void *self, struct slice channel, uint64_t hash, bool asked) { (void)self, (void)channel, (void)hash, (void)asked; }
static void on_unsaid(void *self)                                                 { (void)self; }

static size_t changes;      /* joined and left, whoever asks */
static void on_changed(void *self, const struct presence_change *change) { (void)self, (void)change; changes++; }

static const struct presence_port port = { grace_of, on_tell, on_changed, on_asked, on_unsaid };

static int set_up(void **state)
{
    (void)state;
    config.dev = true;
    now_ms = 1000;
    grace = GRACE_MS;
    told = changes = 0;
    memset(seats, 0, sizeof seats);
    memset(subs, 0, sizeof subs);
    for (int u = 0; u < USERS; u++) {
        char name[16];
        int n = snprintf(name, sizeof name, "u%02d", u);
        assert_int_equal(principal_dev_user(&config, slice(name, (size_t)n), &users[u]), 0);
    }
    presence_init(&presence, &port, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    presence_fini(&presence);
    for (int u = 0; u < USERS; u++)
        principal_unref(users[u]);
    return 0;
}

static struct attendance *join(int h, int u, uint8_t peer, bool counts, bool asks)
{
    struct attendance *a = attendance_new(channel(h), hash_bytes(channel(h)), users[u], peer);
    assert_non_null(a);
    a->counts = counts;
    a->asks = asks;
    presence_join(&presence, a, now_ms, now_ms);
    return a;
}

static struct members_call list(int h, const char *after, size_t limit)
{
    struct members_call call = { .channel = channel(h), .hash = hash_bytes(channel(h)), .after = slice_of(after), .limit = limit };
    assert_int_equal(presence_list(&presence, &call), 0);
    return call;
}

static void compare_with_model(void)
{
    for (int h = 0; h < HALLS; h++) {
        struct members_call call = list(h, "", 1000);
        size_t n = 0;
        for (int u = 0; u < USERS; u++) {
            if (!seats[h][u].there)
                continue;
            assert_true(n < call.n_infos);
            assert_int_equal(user_of(call.infos[n].principal), u);
            assert_int_equal(call.infos[n++].connections, seats[h][u].connections);
        }
        assert_int_equal(call.n_infos, n);
        assert_int_equal(call.count, n);
        assert_int_equal(presence_count(&presence, channel(h), hash_bytes(channel(h))), n);
        assert_false(call.more);
        members_answer_fini(&call);
    }
}

static void model_join(int h, int u)
{
    seats[h][u].there = true;
    seats[h][u].connections++;
}

static void model_leave(int h, int u)
{
    struct seat *seat = &seats[h][u];
    if (--seat->connections == 0)
        seat->until_ms = now_ms + GRACE_MS;
}

static void model_tick(void)
{
    for (int h = 0; h < HALLS; h++)
        for (int u = 0; u < USERS; u++)
            if (seats[h][u].there && seats[h][u].connections == 0 && seats[h][u].until_ms <= now_ms)
                seats[h][u].there = false;
}

static void the_list_is_what_a_plain_model_says_and_joined_and_left_alternate(void **state)
{
    struct attendance *asking[HALLS];
    (void)state;
    srand(7);
    for (int h = 0; h < HALLS; h++)
        asking[h] = join(h, 0, (uint8_t)(h % PEERS), false, true);
    for (int step = 0; step < STEPS; step++) {
        int s = rand() % SUBS;
        if (subs[s]) {
            model_leave(sub_hall[s], sub_user[s]);
            presence_leave(&presence, subs[s], now_ms);
            subs[s] = NULL;
        } else if (rand() % 3 == 0) {
            sub_hall[s] = rand() % HALLS;
            sub_user[s] = rand() % USERS;
            model_join(sub_hall[s], sub_user[s]);
            subs[s] = join(sub_hall[s], sub_user[s], (uint8_t)(s % PEERS), true, false);
        }
        now_ms += rand() % 400;
        presence_tick(&presence, now_ms);
        model_tick();
        for (int h = 0; h < HALLS; h++)
            for (int u = 0; u < USERS; u++) {
                assert_int_equal(seats[h][u].joins - seats[h][u].leaves, seats[h][u].there);      /* alternate, none without cause */
                assert_int_equal(seats[h][u].told[h % PEERS], seats[h][u].there);
            }
        if (step % 50 == 0)
            compare_with_model();
    }
    assert_true(told > 1000);
    for (int s = 0; s < SUBS; s++)
        if (subs[s])
            presence_leave(&presence, subs[s], now_ms);
    for (int h = 0; h < HALLS; h++)
        presence_leave(&presence, asking[h], now_ms);
    presence_tick(&presence, now_ms + GRACE_MS);
    assert_null(presence.halls);
    assert_null(presence.members);
}

static void who_is_back_within_the_grace_has_never_left(void **state)
{
    (void)state;
    struct attendance *asks = join(0, 1, 0, false, true), *tab = join(0, 2, 0, true, false);
    assert_int_equal(told, 1);
    presence_leave(&presence, tab, now_ms);
    assert_int_equal(presence_due_ms(&presence), now_ms + GRACE_MS);
    presence_tick(&presence, now_ms += GRACE_MS - 1);
    tab = join(0, 2, 0, true, false);
    assert_int_equal(presence_due_ms(&presence), INT64_MAX);
    presence_tick(&presence, now_ms += 2 * GRACE_MS);
    assert_int_equal(told, 1);
    presence_leave(&presence, tab, now_ms);
    presence_tick(&presence, now_ms += GRACE_MS);
    assert_int_equal(told, 2);
    assert_false(seats[0][2].told[0]);
    presence_leave(&presence, asks, now_ms);
    assert_null(presence.halls);
}

static void without_a_grace_the_last_one_leaves_at_once(void **state)
{
    (void)state;
    grace = 0;
    struct attendance *asks = join(0, 1, 1, false, true), *one = join(0, 2, 0, true, false), *two = join(0, 2, 1, true, false);
    presence_leave(&presence, one, now_ms);
    assert_int_equal(told, 1);
    presence_leave(&presence, two, now_ms);
    assert_int_equal(told, 2);
    assert_int_equal(presence_count(&presence, channel(0), hash_bytes(channel(0))), 0);
    presence_leave(&presence, asks, now_ms);
}

static void only_edges_that_ask_are_told_and_once_however_many_ask(void **state)
{
    (void)state;
    struct attendance *a = join(0, 1, 1, false, true), *b = join(0, 3, 1, false, true), *c = join(1, 1, 0, false, true);
    struct attendance *member = join(0, 2, 0, true, false);
    assert_int_equal(told, 1);
    presence_leave(&presence, a, now_ms);
    struct attendance *other = join(0, 4, 0, true, false);
    assert_int_equal(told, 2);
    presence_leave(&presence, b, now_ms);
    struct attendance *third = join(0, 5, 0, true, false);
    assert_int_equal(told, 2);
    assert_int_equal(changes, 3);      /* told once each to whoever follows all channels, whether anybody asks or not */
    struct attendance *all[] = { c, member, other, third };
    for (int i = 0; i < 4; i++)
        presence_leave(&presence, all[i], now_ms);
}

static void pages_are_sorted_by_user_and_go_on_after_the_cursor(void **state)
{
    struct attendance *all[USERS];
    char after[16] = "";
    int next = 0;
    (void)state;
    for (int u = 0; u < USERS; u++)
        all[u] = join(0, (u * 5) % USERS, 0, true, false);
    for (bool more = true; more;) {
        struct members_call call = list(0, after, 5);
        assert_int_equal(call.count, USERS);
        for (size_t i = 0; i < call.n_infos; i++)
            assert_int_equal(user_of(call.infos[i].principal), next++);
        more = call.more;
        snprintf(after, sizeof after, "u%02d", next - 1);
        members_answer_fini(&call);
    }
    assert_int_equal(next, USERS);
    struct members_call count = list(0, "", 0), none = list(2, "", 10);
    assert_int_equal(count.count, USERS);
    assert_int_equal(count.n_infos + none.n_infos + none.count, 0);
    for (int u = 0; u < USERS; u++)
        presence_leave(&presence, all[u], now_ms);
}

int main(void)
{
    hash_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_list_is_what_a_plain_model_says_and_joined_and_left_alternate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_back_within_the_grace_has_never_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_grace_the_last_one_leaves_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_edges_that_ask_are_told_and_once_however_many_ask, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pages_are_sorted_by_user_and_go_on_after_the_cursor, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
