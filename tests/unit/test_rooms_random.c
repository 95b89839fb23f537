/* Rooms by chance, against a model written from PROTOCOL.md ("Signaling"): members join, speak, lose their connections in every way, come back
 * with what they saw last or without, begin anew, leave, are put out; time goes by. The model keeps for each member the list of all it is to be
 * told. What a client has seen, put together over all its connections, must be a beginning of that list: in order, nothing twice, nothing
 * missing unless the hub has said so; nobody is in a list who has left, and everybody leaves when its grace is over, not earlier or later. */
#include "tests/unit/rooms_rig.h"

enum { USERS = 6, ROOMS = 2, STEPS = 400, SEEDS = 250, GRACE_MS = 15000, KEEP_MS = 60000, QUEUE = 6, EXPECTED = 4096 };

/* A stay of a user in a room: from join to the end. */
struct stay {
    bool     is_proven;                  /* it needs credentials to come back */
    bool     there, away, half_dead;     /* half dead: the client has lost its socket, and the hub does not know */
    int      connection;
    int64_t  away_until;
    unsigned order;                      /* who came first */
    char     ticket[64];
    int64_t  state;                      /* -1: none */
    uint64_t n;
    /* what it is to be told, by number: a hash of the frame's text, 0 for one that need not be kept */
    unsigned told, away_from, away_n, seen;
    bool     lossy;                      /* it was told that something is lost */
    int64_t  at_ms[EXPECTED];
    uint32_t what[EXPECTED];
    bool     is_missing[EXPECTED];
};

static struct rooms_rig rig;
static struct stay stays[ROOMS][USERS];
static const char *const room_names[ROOMS] = { "r", "s" };
static const char *const user_names[USERS] = { "u0", "u1", "u2", "u3", "u4", "u5" };
static unsigned next_order, rounds;
static int next_connection;
static uint64_t chance_state;
static unsigned long n_frames, n_resumes, n_lossy, n_timeouts, n_busy;

static unsigned chance(unsigned n)
{
    chance_state = chance_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(chance_state >> 33) % n;
}

static uint32_t hash_of(const char *text)
{
    uint32_t h = 2166136261u;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 16777619u;
    return h ? h : 1;
}

/* ---- the model ---- */

static int new_connection(void)
{
    next_connection = next_connection % (RIG_CONNECTIONS - 1) + 1;
    return next_connection;
}

static bool in_use(int connection)
{
    for (int r = 0; r < ROOMS; r++)
        for (int u = 0; u < USERS; u++)
            if (stays[r][u].there && !stays[r][u].away && stays[r][u].connection == connection)
                return true;
    return false;
}

static int free_connection(void)
{
    int connection = new_connection();
    while (in_use(connection))
        connection = new_connection();
    rig.is_replaced[connection] = false;
    buf_reset(&rig.told[connection]);
    return connection;
}

/* One more frame for it. `is_news`: left out when there is no room for it, but numbered. */
static bool model_tell(struct stay *to, const char *text, bool is_news)
{
    bool full = to->away && to->away_n >= QUEUE;
    if (full && !is_news)
        return false;
    assert_true(to->told + 1 < EXPECTED);
    to->told++;
    to->what[to->told] = hash_of(text);
    to->at_ms[to->told] = rig.mono_ms;
    to->is_missing[to->told] = full;
    to->away_n += to->away && !full;
    return true;
}

static void model_news(int r, int but, const char *text)
{
    for (int u = 0; u < USERS; u++)
        if (u != but && stays[r][u].there)
            model_tell(&stays[r][u], text, true);
}

static void model_gone(int r, int u, const char *reason)
{
    char text[128];
    stays[r][u].there = false;
    snprintf(text, sizeof text, "user-left user_id=%s reason=%s", user_names[u], reason);
    model_news(r, u, text);
}

static void model_away(int r, int u)
{
    struct stay *stay = &stays[r][u];
    char text[64];
    stay->away = true;
    stay->half_dead = false;
    stay->away_from = stay->told;
    stay->away_n = 0;
    stay->away_until = rig.mono_ms + GRACE_MS;
    snprintf(text, sizeof text, "user-away user_id=%s", user_names[u]);
    model_news(r, u, text);
}

/* ---- what clients see ---- */

static const char *member(const char *frame, const char *name, char out[64])
{
    char wanted[40];
    snprintf(wanted, sizeof wanted, "\"%s\":", name);
    const char *at = strstr(frame, wanted);
    *out = '\0';
    if (at && sscanf(at + strlen(wanted), "\"%63[^\"]", out) != 1)
        sscanf(at + strlen(wanted), "%63[^\",}]", out);
    return out;
}

/* A frame as the model writes it: without numbers and marks. */
static void digest(const char *frame, char out[256])
{
    static const char *const names[] = { "user_id", "reason", "from", "d" };
    char value[64];
    size_t n = (size_t)snprintf(out, 256, "%s", member(frame, "type", value));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (*member(frame, names[i], value))
            n += (size_t)snprintf(out + n, 256 - n, " %s=%s", names[i], value);
}

static void see_frame(struct stay *stay, const char *frame, bool expects_replay)
{
    char text[256], value[64];
    unsigned seq = (unsigned)strtoul(member(frame, "seq", value), NULL, 10);
    digest(frame, text);
    if (seq == 0)
        return;      /* left: it is looked at where it happens */
    assert_true(strstr(frame, "\"replay\":true") != NULL || !expects_replay);
    if (seq != stay->seen + 1) {      /* only what was told to be lost may be missing */
        for (unsigned i = stay->seen + 1; i < seq; i++)
            if (!stay->is_missing[i] && !stay->lossy)
                fail_msg("seed %u: number %u after %u: %s", rounds, seq, stay->seen, frame);
    }
    assert_true(seq > stay->seen && seq <= stay->told);
    if (stay->what[seq] != hash_of(text))
        fail_msg("seed %u: number %u is %s", rounds, seq, text);
    stay->seen = seq;
    n_frames++;
}

/* All that has come on its connection, of its room, unless the client cannot read any more. */
static void read_all(int r, int u)
{
    struct stay *stay = &stays[r][u];
    struct buf *told = &rig.told[stay->connection];
    char wanted[32];
    if (stay->half_dead || stay->away)
        return;
    snprintf(wanted, sizeof wanted, "\"room\":\"%s\"", room_names[r]);
    buf_add_char(told, '\0');
    for (char *line = told->at, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        if (strstr(line, wanted))
            see_frame(stay, line, false);
    }
    buf_reset(told);
}

static void check_live(void)
{
    for (int r = 0; r < ROOMS; r++)
        for (int u = 0; u < USERS; u++) {
            struct stay *stay = &stays[r][u];
            if (!stay->there || stay->away || stay->half_dead)
                continue;
            read_all(r, u);
            if (stay->seen != stay->told)
                fail_msg("seed %u: %s in %s has seen %u of %u", rounds, user_names[u], room_names[r], stay->seen, stay->told);
        }
}

/* Those who are listed are those who are there, oldest first, each with its role, its state, and whether it is away. */
static void check_list(int r, int u)
{
    struct buf expected = { 0 };
    unsigned after = 0;
    buf_add_str(&expected, "\"users\":[");
    for (;;) {
        int next = -1;
        for (int v = 0; v < USERS; v++)
            if (v != u && stays[r][v].there && stays[r][v].order > after && (next < 0 || stays[r][v].order < stays[r][next].order))
                next = v;
        if (next < 0)
            break;
        const struct stay *other = &stays[r][next];
        buf_addf(&expected, "%s{\"user_id\":\"%s\",\"info\":null,\"state\":", after ? "," : "", user_names[next]);
        if (other->state < 0)
            buf_add_str(&expected, "null");
        else
            buf_addf(&expected, "%lld", (long long)other->state);
        buf_addf(&expected, ",\"polite\":%s%s}", stays[r][u].order > other->order ? "true" : "false", other->away ? ",\"away\":true" : "");
        after = other->order;
    }
    buf_add_str(&expected, "],");
    buf_add_char(&expected, '\0');
    if (!strstr(rig.answer.at, expected.at))
        fail_msg("seed %u: %s expected in %s", rounds, expected.at, rig.answer.at);
    buf_fini(&expected);
}

/* ---- deeds ---- */

static void begin_stay(int r, int u, int connection, bool is_proven)
{
    struct stay *stay = &stays[r][u];
    memset(stay, 0, offsetof(struct stay, at_ms));
    stay->there = true;
    stay->is_proven = is_proven;
    stay->connection = connection;
    stay->order = ++next_order;
    stay->state = -1;
    rig_ticket(&rig, stay->ticket);
    check_list(r, u);
}

static void join(int r, int u)
{
    struct stay *stay = &stays[r][u];
    char text[64];
    int connection = free_connection();
    bool is_proven = chance(4) == 0, was_there = stay->there;
    struct room_call call = { .order = ROOM_JOIN, .room = slice_of(room_names[r]), .user = slice_of(user_names[u]), .asker.is_proven = is_proven };
    check_live();
    int err = rig_run(&rig, (uint64_t)connection, &call);
    if (was_there && !is_proven) {
        assert_int_equal(err, ERR_USER_TAKEN);
        return;
    }
    assert_int_equal(err, 0);
    if (was_there)
        model_gone(r, u, "replaced");
    begin_stay(r, u, connection, is_proven);
    snprintf(text, sizeof text, "user-joined user_id=%s", user_names[u]);
    model_news(r, u, text);
}

static void leave(int r, int u)
{
    struct stay *stay = &stays[r][u];
    check_live();
    int connection = stay->there && !stay->away ? stay->connection : free_connection();      /* its old one may be another's */
    int err = rig_run(&rig, (uint64_t)connection, &(struct room_call){ .order = ROOM_LEAVE, .room = slice_of(room_names[r]) });
    assert_int_equal(err, stay->there && !stay->away ? 0 : ERR_NOT_IN_ROOM);
    if (!err)
        model_gone(r, u, "left");
}

static void speak(int r, int u)
{
    struct stay *stay = &stays[r][u];
    int v = (int)chance(USERS + 1);
    bool to_all = v == USERS;
    char rest[64], text[128];
    static unsigned nonce;
    if (!stay->there || stay->away)
        return;
    snprintf(rest, sizeof rest, ",\"d\":%u", ++nonce);
    snprintf(text, sizeof text, "%s from=%s d=%u", to_all ? "broadcast" : "signal", user_names[u], nonce);
    struct room_call call = { .order = ROOM_RELAY, .room = slice_of(room_names[r]), .frame = to_all ? ROOM_FRAME_BROADCAST : ROOM_FRAME_SIGNAL,
                              .to = to_all ? SLICE("") : slice_of(user_names[v]), .n = stay->n + 1, .rest = room_text_new(slice_of(rest)) };
    struct room_text *kept = call.rest;
    int err = rig_run(&rig, (uint64_t)stay->connection, &call);
    room_text_unref(kept);
    unsigned delivered = 0, refused = 0;
    for (int w = 0; w < USERS; w++)
        if (stays[r][w].there && w != u && (to_all || w == v))
            *(model_tell(&stays[r][w], text, false) ? &delivered : &refused) += 1;
    if (to_all)
        assert_int_equal(err, refused ? ERR_PEER_BUSY : 0);
    else
        assert_int_equal(err, v == u ? ERR_TO_YOURSELF : !stays[r][v].there ? ERR_PEER_UNAVAILABLE : refused ? ERR_PEER_BUSY : 0);
    n_busy += refused;
    stay->n += delivered > 0 || (to_all && !err);
}

static void show(int r, int u)
{
    struct stay *stay = &stays[r][u];
    char state[24], rest[48], text[64];
    if (!stay->there || stay->away)
        return;
    stay->state = (int64_t)chance(1000);
    snprintf(state, sizeof state, "%lld", (long long)stay->state);
    snprintf(rest, sizeof rest, ",\"state\":%s", state);
    struct room_call call = { .order = ROOM_STATE, .room = slice_of(room_names[r]), .state = slice_of(state), .rest = room_text_new(slice_of(rest)) };
    struct room_text *kept = call.rest;
    assert_int_equal(rig_run(&rig, (uint64_t)stay->connection, &call), 0);
    room_text_unref(kept);
    snprintf(text, sizeof text, "state from=%s", user_names[u]);
    model_news(r, u, text);
}

static void drop(int r, int u)
{
    struct stay *stay = &stays[r][u];
    if (!stay->there || stay->away)
        return;
    check_live();
    rig_drop(&rig, (uint64_t)stay->connection);
    model_away(r, u);
}

/* Its socket takes what it is told, and nobody reads it. */
static void go_deaf(int r, int u)
{
    check_live();
    if (stays[r][u].there && !stays[r][u].away)
        stays[r][u].half_dead = true;
}

/* What must be there still: since it went away all but news for which there was no room; before that the newest, for a while. */
static bool model_recovers(const struct stay *stay, unsigned after)
{
    for (unsigned i = after + 1; i <= stay->told; i++)
        if (stay->is_missing[i])
            return false;
    return true;
}

/* Whether the hub may have given up something after this number that was told while it was there. */
static bool may_be_old(const struct stay *stay, unsigned after)
{
    unsigned before = stay->away ? stay->away_from : stay->told;
    int64_t until = stay->away ? stay->away_until - GRACE_MS : rig.mono_ms;
    return after < before && (before - after > QUEUE || until - stay->at_ms[after + 1] >= KEEP_MS);
}

static void resume(int r, int u)
{
    struct stay *stay = &stays[r][u];
    bool says = chance(4) > 0, is_stranger = chance(8) == 0, is_proven = stay->is_proven && chance(8) > 0;
    int connection = free_connection(), old = stay->connection;
    const char *ticket = is_stranger ? stays[r][(u + 1) % USERS].ticket : stay->ticket;
    if (!*ticket)
        return;
    check_live();
    struct room_call call = { .order = ROOM_JOIN, .room = slice_of(room_names[r]), .user = slice_of(user_names[u]), .resume = slice_of(ticket), .has_last_seq = says, .last_seq = stay->seen, .asker.is_proven = is_proven };
    int err = rig_run(&rig, (uint64_t)connection, &call);
    if (is_stranger || !stay->there || is_proven != stay->is_proven) {
        assert_int_equal(err, ERR_RESUME_FAILED);
        return;
    }
    assert_int_equal(err, 0);
    n_resumes++;
    bool was_away = stay->away, is_whole = strstr(rig.answer.at, "\"recovered\":true") != NULL;
    unsigned after = says ? stay->seen : was_away ? stay->away_from : stay->told;
    assert_true(model_recovers(stay, after) || !is_whole);
    if (!is_whole)
        assert_true(!model_recovers(stay, after) || may_be_old(stay, after));
    n_lossy += !is_whole;
    assert_true(was_away || rig.is_replaced[old]);
    stay->lossy = !is_whole;
    stay->seen = says ? stay->seen : after;      /* what it has not asked for it does not get */
    stay->away = stay->half_dead = false;
    stay->connection = connection;
    check_list(r, u);
    read_all(r, u);
    stay->lossy = false;
    if (stay->seen < stay->told)
        assert_false(is_whole);
    stay->seen = stay->told;
    for (unsigned i = 1; i <= stay->told; i++)
        stay->at_ms[i] = rig.mono_ms;      /* told again, so kept again */
    if (was_away) {
        char text[64];
        snprintf(text, sizeof text, "user-back user_id=%s", user_names[u]);
        model_news(r, u, text);
    } else {
        rig_drop(&rig, (uint64_t)old);      /* its end is noticed at last: that is nothing to anybody */
    }
}

static void begin_anew(int r, int u)
{
    struct stay *stay = &stays[r][u];
    char text[64];
    if (!stay->there)
        return;
    check_live();
    int connection = free_connection();
    bool is_proven = stay->is_proven;
    struct room_call call = { .order = ROOM_JOIN, .room = slice_of(room_names[r]), .resume = slice_of(stay->ticket), .fresh = true, .asker.is_proven = is_proven };
    assert_int_equal(rig_run(&rig, (uint64_t)connection, &call), 0);
    model_gone(r, u, "replaced");
    begin_stay(r, u, connection, is_proven);
    snprintf(text, sizeof text, "user-joined user_id=%s", user_names[u]);
    model_news(r, u, text);
}

static void put_out(int r, int u)
{
    check_live();
    int err = rig_run(&rig, 0, &(struct room_call){ .order = ROOM_EXPEL, .room = slice_of(room_names[r]), .to = slice_of(user_names[u]) });
    assert_int_equal(err, stays[r][u].there ? 0 : ERR_NOT_FOUND);
    if (!err)
        model_gone(r, u, "kicked");
}

/* Graces end one after the other, each at its moment. */
static void pass(int64_t ms)
{
    int64_t end = rig.mono_ms + ms;
    check_live();
    for (;;) {
        int64_t first = end + 1;
        for (int r = 0; r < ROOMS; r++)
            for (int u = 0; u < USERS; u++)
                if (stays[r][u].there && stays[r][u].away && stays[r][u].away_until < first)
                    first = stays[r][u].away_until;
        if (first > end)
            break;
        if (first > rig.mono_ms)
            rig_pass(&rig, first - 1 - rig.mono_ms);
        check_live();      /* nobody has left yet */
        rig_pass(&rig, first - rig.mono_ms);
        for (int r = 0; r < ROOMS; r++)
            for (int u = 0; u < USERS; u++)
                if (stays[r][u].there && stays[r][u].away && stays[r][u].away_until == first) {
                    n_timeouts++;
                    model_gone(r, u, "timeout");
                }
    }
    rig_pass(&rig, end - rig.mono_ms);
    check_live();
}

static void step(void)
{
    int r = (int)chance(ROOMS), u = (int)chance(USERS);
    pass(1);      /* no two things happen at one moment */
    switch (chance(16)) {
    case 0: case 1: join(r, u); break;
    case 2: leave(r, u); break;
    case 3: case 4: case 5: case 6: speak(r, u); break;
    case 7: show(r, u); break;
    case 8: drop(r, u); break;
    case 9: go_deaf(r, u); break;
    case 10: case 11: case 12: resume(r, u); break;
    case 13: begin_anew(r, u); break;
    case 14: if (chance(3) == 0) put_out(r, u); break;
    default: pass(chance(4) ? chance(2000) : chance(40000)); break;
    }
}

static void whatever_members_do_each_is_told_all_of_it_once_and_in_order(void **state)
{
    (void)state;
    for (rounds = 1; rounds <= SEEDS; rounds++) {
        rig_open(&rig);
        rig.config.rooms_queue = QUEUE;
        rig.config.general_room_rule.empty_timeout_ms = 5000;
        memset(stays, 0, sizeof stays);
        next_order = 0;
        next_connection = 0;
        chance_state = rounds * 7919;
        for (int i = 0; i < STEPS; i++)
            step();
        check_live();
        for (int r = 0; r < ROOMS; r++)
            for (int u = 0; u < USERS; u++) {
                pass(1);
                drop(r, u);
            }
        pass(GRACE_MS);
        pass(5000);
        assert_int_equal(rooms_due_ms(rig.rooms), INT64_MAX);      /* nothing is left */
        rig_close(&rig);
    }
    assert_true(n_frames > 10000 && n_resumes > 1000 && n_lossy > 100 && n_timeouts > 100 && n_busy > 100);
    print_message("%lu frames, %lu resumes (%lu not whole), %lu timeouts, %lu busy\n", n_frames, n_resumes, n_lossy, n_timeouts, n_busy);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(whatever_members_do_each_is_told_all_of_it_once_and_in_order) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
