/* Buckets that several processes take from: one alone gets exactly its due however late reports are, and many together not much more than
 * one. The place where they meet is modelled here as redis/lua/rates.lua does it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/base/buckets.h"

#include <pthread.h>
#include <stdatomic.h>

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)
enum { BURST = 40, TOKEN_MS = 100, REPORTS = 8, UNDER_WAY = 64 };

static unsigned seed;
static unsigned draw(unsigned below) { return (unsigned)((seed = seed * 1103515245 + 12345) >> 8) % below; }

/* One process: its buckets, and reports that are on their way. */
struct process {
    struct buckets *buckets;
    unsigned        wakes;
    struct { struct bucket_report report; int64_t debt_ns, arrives_ns; } back[UNDER_WAY];
    unsigned        n_back;
};

struct center { int64_t full_ns; };

static void count_wake(void *arg) { ((struct process *)arg)->wakes++; }

static void process_begin(struct process *process)
{
    *process = (struct process){ .buckets = buckets_new(64) };
    assert_int_equal(buckets_share(process->buckets, count_wake, process), 0);
}

static struct bucket_ask tokens(uint64_t n)
{
    return (struct bucket_ask){ .id = 7, .token_ns = TOKEN_MS * MS, .burst = BURST, .tokens = n, .kind = "publishes_per_user", .who = SLICE("anna") };
}

static bool take(struct process *process, uint64_t n, int64_t now)
{
    struct bucket_ask ask = tokens(n);
    return !buckets_take(process->buckets, &ask, now, SECOND).refused;
}

static int64_t later_of(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t sum_up(struct center *center, const struct bucket_report *report, int64_t now)
{
    int64_t full = center->full_ns + 5 * SECOND < now ? 0 : center->full_ns;      /* its key has ended */
    if (full > now + BUCKET_DEBTS * report->whole_ns)
        full = now + BUCKET_DEBTS * report->whole_ns;
    center->full_ns = later_of(full + report->spent_ns, now + report->own_ns);
    return center->full_ns - now;
}

/* Reports go out at once and their answers come after `delay`. How many went. */
static unsigned tell(struct process *process, struct center *center, bool all, int64_t now, int64_t delay)
{
    struct bucket_report reports[REPORTS];
    size_t n = buckets_report(process->buckets, all, now, REPORTS, reports);
    assert_true(n <= 1);      /* there is one bucket */
    if (n == 0)
        return 0;
    assert_true(process->n_back < UNDER_WAY);
    process->back[process->n_back].report = *reports;
    process->back[process->n_back].debt_ns = sum_up(center, reports, now);
    process->back[process->n_back++].arrives_ns = now + delay;
    return 1;
}

static void hear(struct process *process, int64_t now)
{
    while (process->n_back > 0 && process->back[0].arrives_ns <= now) {
        buckets_reported(process->buckets, &process->back[0].report, process->back[0].debt_ns);
        memmove(process->back, process->back + 1, --process->n_back * sizeof *process->back);
    }
}

static void one_alone_is_given_and_refused_exactly_as_without_the_others(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        struct process process;
        struct buckets *own = buckets_new(64);
        struct center center = { 0 };
        int64_t now = 1000 * SECOND, second = now;
        seed = round;
        process_begin(&process);
        for (int step = 0; step < 400; step++) {
            struct bucket_ask ask = tokens(1 + draw(6));
            ask.kind = NULL;
            bool given = !buckets_take(own, &ask, now, SECOND).refused;
            hear(&process, now);
            if (take(&process, ask.tokens, now) != given)
                fail_msg("round %u, step %d: %s", round, step, given ? "refused" : "given");
            now += draw(4) ? draw(100) * MS : draw(2000) * MS;
            bool all = now - second >= SECOND;
            tell(&process, &center, all, now, draw(800) * MS);
            second = all ? now : second;
        }
        buckets_free(process.buckets);
        buckets_free(own);
    }
}

/* Each of three is asked for as much as it will give, for a minute. */
static void many_together_give_an_eighth_more_each_and_the_rate_in_the_long_run(void **state)
{
    enum { PROCESSES = 3, SECONDS = 60, STEP_MS = 5, TRIP_MS = 5 };
    struct process process[PROCESSES];
    struct center center = { 0 };
    unsigned given = 0, at_once = 0, reports = 0;
    (void)state;
    for (int i = 0; i < PROCESSES; i++)
        process_begin(&process[i]);
    for (int64_t ms = 0; ms < SECONDS * 1000; ms += STEP_MS) {
        int64_t now = 1000 * SECOND + ms * MS;
        for (int i = 0; i < PROCESSES; i++) {
            hear(&process[i], now);
            given += take(&process[i], 1, now);
            reports += tell(&process[i], &center, ms % 1000 == 0, now, TRIP_MS * MS);
        }
        if (ms == 1000)
            at_once = given;
    }
    int come_back = SECONDS * 1000 / TOKEN_MS, over = PROCESSES * (BURST / BUCKET_PORTION + BUCKET_GAP_MS / STEP_MS);
    assert_in_range(at_once, BURST, BURST + 1000 / TOKEN_MS + over);
    assert_in_range(given, BURST + come_back - over, BURST + come_back + over);
    assert_true(reports <= PROCESSES * SECONDS * (1000 / BUCKET_GAP_MS));
    for (int i = 0; i < PROCESSES; i++)
        buckets_free(process[i].buckets);
}

static void a_portion_wakes_once_a_trifle_is_not_told_and_the_rest_when_all_is_asked_for(void **state)
{
    struct process process;
    struct center center = { 0 };
    int64_t now = 1000 * SECOND;
    (void)state;
    process_begin(&process);
    assert_true(take(&process, BURST / BUCKET_PORTION - 1, now));
    assert_int_equal(process.wakes, 0);
    assert_int_equal(tell(&process, &center, false, now, 0), 0);
    assert_true(take(&process, 1, now) && take(&process, 1, now));
    assert_int_equal(process.wakes, 1);
    assert_int_equal(tell(&process, &center, false, now, 0), 1);
    assert_true(take(&process, BURST / BUCKET_PORTION, now));
    assert_int_equal(process.wakes, 2);
    assert_int_equal(tell(&process, &center, true, now, 0), 0);      /* the first is not answered */
    hear(&process, now);
    assert_int_equal(tell(&process, &center, true, now + BUCKET_GAP_MS * MS - 1, 0), 0);
    assert_true(buckets_due(process.buckets));
    assert_int_equal(tell(&process, &center, false, now + BUCKET_GAP_MS * MS, 0), 1);
    assert_false(buckets_due(process.buckets));
    hear(&process, now + BUCKET_GAP_MS * MS);

    struct bucket_ask trifle = { .id = 8, .token_ns = MS, .burst = 1000, .tokens = 1, .kind = "k", .who = SLICE("w") };
    for (int64_t ms = 0; ms < 1000; ms += 100)
        assert_false(buckets_take(process.buckets, &trifle, now + ms * MS, SECOND).refused);
    struct bucket_report report;
    assert_int_equal(buckets_report(process.buckets, true, now + SECOND, 1, &report), 0);
    for (int64_t ms = 1000; ms < 2000; ms += 20)
        assert_false(buckets_take(process.buckets, &trifle, now + ms * MS, SECOND).refused);
    assert_int_equal(buckets_report(process.buckets, true, now + 2 * SECOND, 1, &report), 1);
    assert_int_equal(report.spent_ns, 50 * MS);
    buckets_free(process.buckets);
}

/* What was let through while nobody could be told does not add up, but an empty bucket stays empty. */
static void after_a_time_without_the_others_only_how_full_it_is_is_told(void **state)
{
    struct process process;
    struct center center = { 0 };
    int64_t now = 1000 * SECOND;
    (void)state;
    process_begin(&process);
    for (int s = 0; s < 600; s++, now += SECOND)
        while (take(&process, 1, now))
            continue;
    buckets_forgive(process.buckets, now);
    assert_int_equal(tell(&process, &center, false, now, 0), 1);
    hear(&process, now);
    assert_in_range(center.full_ns - now, (BURST - 10) * TOKEN_MS * MS, BURST * TOKEN_MS * MS);
    assert_true(take(&process, 10, now));
    assert_false(take(&process, 1, now));
    buckets_free(process.buckets);
}

/* The answer for one whose place was given to a stranger meanwhile is not the stranger's. */
static void an_answer_is_for_whom_it_was_asked(void **state)
{
    struct process process;
    struct bucket_report report;
    int64_t now = 1000 * SECOND;
    (void)state;
    process_begin(&process);
    assert_true(take(&process, BURST, now));
    assert_int_equal(buckets_report(process.buckets, false, now, 1, &report), 1);
    for (uint64_t i = 1; i <= 2000; i++) {
        struct bucket_ask ask = { .id = i << 8 | 3, .token_ns = SECOND, .burst = 10000, .tokens = 9000, .kind = "k", .who = SLICE("w") };
        buckets_take(process.buckets, &ask, now, SECOND);
    }
    buckets_reported(process.buckets, &report, 100000 * SECOND);
    for (uint64_t i = 1; i <= 2000; i++) {
        struct bucket_ask look = { .id = i << 8 | 3, .token_ns = SECOND, .burst = 10000, .tokens = 1, .only_look = true };
        assert_false(buckets_take(process.buckets, &look, now, SECOND).refused);
    }
    buckets_free(process.buckets);
}

enum { THREADS = 4, EACH = 20000, WHO = 16 };
struct crowd { struct process process; atomic_int let_in, done; };

static struct bucket_ask of_crowd(uint64_t i)
{
    return (struct bucket_ask){ .id = i % WHO * 256 + 1, .token_ns = 600 * SECOND, .burst = 1000, .tokens = 1, .kind = "k", .who = slice("0123456789abcdef" + i % WHO, 1) };
}

static void *hammer(void *arg)
{
    struct crowd *crowd = arg;
    for (uint64_t i = 0; i < EACH; i++) {
        struct bucket_ask ask = of_crowd(i);
        atomic_fetch_add(&crowd->let_in, !buckets_take(crowd->process.buckets, &ask, SECOND, SECOND).refused);
    }
    atomic_fetch_add(&crowd->done, 1);
    return NULL;
}

/* While one thread reports, and answers come, others take. */
static void from_many_threads_no_token_is_taken_twice_and_all_are_told(void **state)
{
    struct crowd crowd;
    struct center centers[WHO] = { { 0 } };
    struct bucket_report reports[REPORTS];
    pthread_t threads[THREADS];
    (void)state;
    process_begin(&crowd.process);
    atomic_store(&crowd.let_in, 0);
    atomic_store(&crowd.done, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &crowd), 0);
    int64_t now = SECOND;
    bool over = false;
    for (size_t n = 1; n > 0 || !over; now += BUCKET_GAP_MS * MS) {
        over = atomic_load(&crowd.done) == THREADS;
        n = buckets_report(crowd.process.buckets, true, now, REPORTS, reports);
        for (size_t i = 0; i < n; i++)
            buckets_reported(crowd.process.buckets, &reports[i], sum_up(&centers[reports[i].id / 256], &reports[i], now));
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&crowd.let_in), WHO * 1000);
    for (int i = 0; i < WHO; i++)
        assert_int_equal(centers[i].full_ns, SECOND + 1000 * 600 * SECOND);
    buckets_free(crowd.process.buckets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_alone_is_given_and_refused_exactly_as_without_the_others),
        cmocka_unit_test(many_together_give_an_eighth_more_each_and_the_rate_in_the_long_run),
        cmocka_unit_test(a_portion_wakes_once_a_trifle_is_not_told_and_the_rest_when_all_is_asked_for),
        cmocka_unit_test(after_a_time_without_the_others_only_how_full_it_is_is_told),
        cmocka_unit_test(from_many_threads_no_token_is_taken_twice_and_all_are_told),
        cmocka_unit_test(an_answer_is_for_whom_it_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
