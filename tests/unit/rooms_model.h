/* rooms_model.h — rooms as PROTOCOL.md has them ("Signaling"; "Many hubs"), for tests that do things by chance.
 *
 * The model keeps for each member the list of all it is to be told. What a client has seen, put together over all its connections, must be a
 * beginning of that list: in order, nothing twice, nothing missing unless the hub has said so; nobody is in a list who has left, and everybody
 * leaves when its grace is over, not earlier or later.
 *
 * Who includes this defines the functions of `the hubs` below. One hub always reaches its connections. Of many hubs (§9) the model knows
 * besides, and nothing else is different there:
 *   asleep    the connection's hub does nothing for a while: what it is told it is told later, all of it and in order
 *   unheard   its hub is cut off from what others say, or dead: frames are kept as for who is away, up to the same bound (`behind`);
 *             what is given up then closes the connection (ERR_ROOM_LOST), for its client to come back and be told that something is missing
 *   dead      its hub was killed: it is away when somebody has noticed that, and its client may come back before
 * Threading: the test's. */
#pragma once
#include "hub/base/err.h"
#include "hub/rooms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PEERS = 6, ROOMS = 2, GRACE_MS = 15000, KEEP_MS = 60000, EMPTY_MS = 5000, QUEUE = 6, EXPECTED = 4096, BELOW = 32, CONNECTIONS = 64, LATE_ENDS = 32 };

/* ---- the hubs: numbers of connections are 1 … CONNECTIONS - 1, 0 is the API ---- */

static void        sim_connect(int connection);                            /* a new one of that number, on any hub that is there; nothing was told to it yet */
static int         sim_run(int connection, struct room_call *call);        /* ERR_…, once it is answered and everybody who can has been told */
static const char *sim_answer(void);                                       /* the text of the answer */
static struct buf *sim_told(int connection);                               /* frames since it was emptied, a line each */
static int         sim_closed(int connection);                             /* ERR_…; 0: it is open */
static void        sim_drop(int connection, bool for_good);                /* it has ended */
static void        sim_pass(int64_t ms);                                   /* and what is due then has happened */
static bool        sim_is_asleep(int connection);
static bool        sim_is_unheard(int connection);
static bool        sim_is_dead(int connection);

/* ---- who is there ---- */

/* A stay of a user in a room: from join to the end. */
struct stay {
    bool     is_proven;                  /* it needs credentials to come back */
    bool     there, away, half_dead;     /* half dead: the client has lost its socket, and the hub does not know */
    bool     behind;                     /* what it is told is kept: nobody has heard it */
    int      connection;
    int64_t  away_until;
    unsigned order;                      /* who came first */
    unsigned sat;                        /* when its connection came */
    char     ticket[64];
    int64_t  state;                      /* -1: none */
    uint64_t n, all_below;               /* highest of its own numbers that was taken; all up to this one count as taken */
    /* what it is to be told, by number: a hash of the frame's text, 0 for one that need not be kept */
    unsigned told, away_from, away_n, seen;
    unsigned kept_from;                  /* away or behind: all after this number is kept, but for news that found no room */
    bool     lossy;                      /* it was told that something is lost */
    bool     is_taken[EXPECTED];         /* of its own numbers */
    int64_t  at_ms[EXPECTED];
    uint32_t what[EXPECTED];
    bool     is_missing[EXPECTED];
};

static struct stay stays[ROOMS][PEERS];
static const char *const room_names[ROOMS] = { "r", "s" };
static const char *const user_names[PEERS] = { "u0", "u1", "u2", "u3", "u4", "u5" };
static int64_t model_now_ms;
static unsigned next_order, next_sat, rounds, steps;
static int next_connection;
static uint64_t chance_state;
static int late_ends[LATE_ENDS];         /* replaced on a hub that is asleep */
static int n_late_ends;
static unsigned long n_frames, n_resumes, n_lossy, n_timeouts, n_busy, n_duplicates;

#define at_fault(format, ...) fail_msg("seed %u, step %u: " format, rounds, steps, __VA_ARGS__)

static inline unsigned chance(unsigned n)
{
    chance_state = chance_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(chance_state >> 33) % n;
}

static inline uint32_t hash_of(const char *text)
{
    uint32_t h = 2166136261u;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 16777619u;
    return h ? h : 1;
}

static inline bool is_present(const struct stay *stay) { return stay->there && !stay->away; }
/* What it asks now is answered. */
static inline bool can_ask(const struct stay *stay)
{
    return is_present(stay) && !sim_is_asleep(stay->connection) && !sim_is_dead(stay->connection);
}

static inline bool in_use(int connection)
{
    for (int r = 0; r < ROOMS; r++)
        for (int u = 0; u < PEERS; u++)
            if (is_present(&stays[r][u]) && stays[r][u].connection == connection)
                return true;
    for (int i = 0; i < n_late_ends; i++)
        if (late_ends[i] == connection)
            return true;
    return false;
}

static inline int free_connection(void)
{
    do
        next_connection = next_connection % (CONNECTIONS - 1) + 1;
    while (in_use(next_connection));
    sim_connect(next_connection);
    return next_connection;
}

/* ---- what is to be told ---- */

/* One more frame for it. `is_news`: left out when there is no room for it, but numbered. */
static inline bool model_tell(struct stay *to, const char *text, bool is_news)
{
    if (is_present(to) && !to->behind && sim_is_unheard(to->connection)) {
        to->behind = true;
        to->away_from = to->told;
        to->away_n = 0;
        to->kept_from = to->told + 1;
    }
    bool keeps = to->away || to->behind, full = keeps && to->away_n >= QUEUE;
    if (full && !is_news)
        return false;
    assert_true(to->told + 1 < EXPECTED);
    to->told++;
    to->what[to->told] = hash_of(text);
    to->at_ms[to->told] = model_now_ms;
    to->is_missing[to->told] = full;
    to->away_n += keeps && !full;
    return true;
}

static inline void model_news(int r, int but, const char *text)
{
    for (int u = 0; u < PEERS; u++)
        if (u != but && stays[r][u].there)
            model_tell(&stays[r][u], text, true);
}

static inline void model_gone(int r, int u, const char *reason)
{
    char text[128];
    stays[r][u].there = false;
    snprintf(text, sizeof text, "user-left user_id=%s reason=%s", user_names[u], reason);
    model_news(r, u, text);
}

static inline void model_away(int r, int u)
{
    struct stay *stay = &stays[r][u];
    char text[64];
    if (!stay->behind)
        stay->kept_from = stay->away_from = stay->told;      /* else what came since nobody has heard */
    stay->away = true;
    stay->half_dead = stay->behind = false;
    stay->away_n = 0;
    stay->away_until = model_now_ms + GRACE_MS;
    snprintf(text, sizeof text, "user-away user_id=%s", user_names[u]);
    model_news(r, u, text);
}

static inline void model_back(int r, int u)
{
    char text[64];
    stays[r][u].away = stays[r][u].behind = false;
    snprintf(text, sizeof text, "user-back user_id=%s", user_names[u]);
    model_news(r, u, text);
}

/* ---- what clients see ---- */

static inline const char *member(const char *frame, const char *name, char out[64])
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
static inline void digest(const char *frame, char out[256])
{
    static const char *const names[] = { "user_id", "reason", "from", "d", "metadata" };
    char value[64];
    size_t n = (size_t)snprintf(out, 256, "%s", member(frame, "type", value));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (*member(frame, names[i], value))
            n += (size_t)snprintf(out + n, 256 - n, " %s=%s", names[i], value);
}

static inline void see_frame(struct stay *stay, const char *frame)
{
    char text[256], value[64];
    unsigned seq = (unsigned)strtoul(member(frame, "seq", value), NULL, 10);
    digest(frame, text);
    if (seq == 0)
        return;      /* left: it is looked at where it happens */
    if (seq <= stay->seen || seq > stay->told)
        at_fault("number %u after %u of %u: %s", seq, stay->seen, stay->told, frame);
    for (unsigned i = stay->seen + 1; i < seq; i++)      /* only what was told to be lost may be missing */
        if (!stay->is_missing[i] && !stay->lossy)
            at_fault("number %u after %u: %s", seq, stay->seen, frame);
    if (stay->what[seq] != hash_of(text))
        at_fault("number %u is %s", seq, text);
    stay->seen = seq;
    n_frames++;
}

/* All that has come on its connection, of its room, unless the client cannot read any more. */
static inline void read_all(int r, int u)
{
    struct stay *stay = &stays[r][u];
    char wanted[32];
    if (stay->half_dead || stay->away)
        return;
    struct buf *told = sim_told(stay->connection);
    snprintf(wanted, sizeof wanted, "\"room\":\"%s\"", room_names[r]);
    buf_add_char(told, '\0');
    for (char *line = told->at, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        if (strstr(line, wanted))
            see_frame(stay, line);
    }
    buf_reset(told);
}

static inline void check_live(void)
{
    for (int r = 0; r < ROOMS; r++)
        for (int u = 0; u < PEERS; u++) {
            struct stay *stay = &stays[r][u];
            if (!is_present(stay) || stay->half_dead || sim_is_asleep(stay->connection))
                continue;
            read_all(r, u);
            if (stay->seen != stay->told || sim_closed(stay->connection))
                at_fault("%s in %s has seen %u of %u, closed by %d", user_names[u], room_names[r], stay->seen, stay->told, sim_closed(stay->connection));
        }
}

/* Those who are listed are those who are there, oldest first, each with its role, its state, and whether it is away. */
static inline void print_list(int r, int u, struct buf *out)
{
    unsigned after = 0;
    buf_add_str(out, "\"users\":[");
    for (;;) {
        int next = -1;
        for (int v = 0; v < PEERS; v++)
            if (v != u && stays[r][v].there && stays[r][v].order > after && (next < 0 || stays[r][v].order < stays[r][next].order))
                next = v;
        if (next < 0)
            break;
        const struct stay *other = &stays[r][next];
        buf_addf(out, "%s{\"user_id\":\"%s\",\"info\":null,\"state\":", after ? "," : "", user_names[next]);
        if (other->state < 0)
            buf_add_str(out, "null");
        else
            buf_addf(out, "%lld", (long long)other->state);
        buf_addf(out, ",\"polite\":%s%s}", stays[r][u].order > other->order ? "true" : "false", other->away ? ",\"away\":true" : "");
        after = other->order;
    }
    buf_add_str(out, "],");
}

/* Frees what it expects. */
static inline void check_answer(struct buf *expected)
{
    buf_add_char(expected, '\0');
    if (!strstr(sim_answer(), expected->at))
        at_fault("%s expected in %s", expected->at, sim_answer());
    buf_fini(expected);
}

static inline void check_list(int r, int u)
{
    struct buf expected = { 0 };
    print_list(r, u, &expected);
    check_answer(&expected);
}

/* Its own numbers: those of the BELOW below the highest that were not taken may be sent once more. */
static inline bool model_has_taken(const struct stay *stay, uint64_t n)
{
    return n > 0 && n <= stay->n && (n <= stay->all_below || stay->n - n > BELOW || stay->is_taken[n]);
}

static inline void model_take(struct stay *stay, uint64_t n)
{
    assert_true(n < EXPECTED);
    if (n >= stay->n + BELOW)
        stay->all_below = n;
    if (n > 0)
        stay->is_taken[n] = true;
    stay->n = n > stay->n ? n : stay->n;
}

/* The next one, one that is missing, or one further on. */
static inline uint64_t model_number(const struct stay *stay)
{
    uint64_t n = stay->n > BELOW ? stay->n - BELOW : 1;
    while (n < stay->n && model_has_taken(stay, n))
        n++;
    if (n < stay->n && chance(2))
        return n;
    return stay->n + (chance(6) ? 1 : chance(8) ? 2 + chance(3) : BELOW - 1 + chance(3));
}

/* What the hub says of who has asked: which of its numbers it has, and the newest that it was told. */
static inline void check_you(const struct stay *stay)
{
    struct buf expected = { 0 };
    bool first = true;
    buf_addf(&expected, "\"n\":%llu,\"missing\":[", (unsigned long long)stay->n);
    for (uint64_t n = stay->n > BELOW ? stay->n - BELOW : 1; n < stay->n; n++)
        if (!model_has_taken(stay, n)) {
            buf_addf(&expected, first ? "%llu" : ",%llu", (unsigned long long)n);
            first = false;
        }
    buf_addf(&expected, "],\"seq\":%u}", stay->told);
    check_answer(&expected);
}

/* ---- deeds ---- */

static inline void model_stay(int r, int u, int connection, bool is_proven)
{
    struct stay *stay = &stays[r][u];
    memset(stay, 0, offsetof(struct stay, what));
    stay->there = true;
    stay->is_proven = is_proven;
    stay->connection = connection;
    stay->order = ++next_order;
    stay->sat = ++next_sat;
    stay->state = -1;
}

static inline void begin_stay(int r, int u, int connection, bool is_proven)
{
    struct stay *stay = &stays[r][u];
    model_stay(r, u, connection, is_proven);
    member(sim_answer(), "resume", stay->ticket);
    assert_true(*stay->ticket);
    check_list(r, u);
    check_you(stay);
}

static inline void model_joined(int r, int u)
{
    char text[64];
    snprintf(text, sizeof text, "user-joined user_id=%s", user_names[u]);
    model_news(r, u, text);
}

static inline void join(int r, int u)
{
    struct stay *stay = &stays[r][u];
    int connection = free_connection();
    bool is_proven = chance(4) == 0, was_there = stay->there;
    struct room_call call = { .order = ROOM_JOIN, .room = slice_of(room_names[r]), .user = slice_of(user_names[u]), .asker.is_proven = is_proven };
    check_live();
    int err = sim_run(connection, &call);
    if (was_there && !is_proven) {
        assert_int_equal(err, ERR_USER_TAKEN);
        return;
    }
    assert_int_equal(err, 0);
    if (was_there)
        model_gone(r, u, "replaced");
    begin_stay(r, u, connection, is_proven);
    model_joined(r, u);
}

static inline void leave(int r, int u)
{
    struct stay *stay = &stays[r][u];
    bool is_in = can_ask(stay);
    check_live();
    int connection = is_in ? stay->connection : free_connection();      /* its old one may be another's */
    int err = sim_run(connection, &(struct room_call){ .order = ROOM_LEAVE, .room = slice_of(room_names[r]) });
    assert_int_equal(err, is_in ? 0 : ERR_NOT_IN_ROOM);
    if (!err)
        model_gone(r, u, "left");
}

/* To whom: PEERS is to all. -> ERR_… that it is to be answered with; *ret_told: whether its number is taken */
static inline int model_say(int r, int u, int v, const char *text, bool *ret_taken)
{
    unsigned delivered = 0, refused = 0;
    bool to_all = v == PEERS;
    for (int w = 0; w < PEERS; w++)
        if (stays[r][w].there && w != u && (to_all || w == v))
            *(model_tell(&stays[r][w], text, false) ? &delivered : &refused) += 1;
    n_busy += refused;
    *ret_taken = delivered > 0 || (to_all && !refused);
    if (to_all)
        return refused ? ERR_PEER_BUSY : 0;
    return v == u ? ERR_TO_YOURSELF : !stays[r][v].there ? ERR_PEER_UNAVAILABLE : refused ? ERR_PEER_BUSY : 0;
}

/* A frame that is relayed, as it is asked for and as it is to come. The caller gives back call->rest. */
static inline struct room_call relay_of(int r, int u, int v, uint64_t n, char text[128])
{
    static unsigned nonce;
    bool to_all = v == PEERS;
    char rest[64];
    snprintf(rest, sizeof rest, ",\"d\":%u", ++nonce);
    snprintf(text, 128, "%s from=%s d=%u", to_all ? "broadcast" : "signal", user_names[u], nonce);
    return (struct room_call){ .order = ROOM_RELAY, .room = slice_of(room_names[r]), .frame = to_all ? ROOM_FRAME_BROADCAST : ROOM_FRAME_SIGNAL,
                               .to = to_all ? SLICE("") : slice_of(user_names[v]), .n = n, .rest = room_text_new(slice_of(rest)) };
}

/* What was taken before is not relayed again. */
static inline void repeat(int r, int u)
{
    struct stay *stay = &stays[r][u];
    char text[128];
    uint64_t n = 1 + chance((unsigned)stay->n);
    if (!model_has_taken(stay, n))
        return;
    struct room_call call = relay_of(r, u, PEERS, n, text);
    struct room_text *kept = call.rest;
    assert_int_equal(sim_run(stay->connection, &call), 0);
    room_text_unref(kept);
    assert_non_null(strstr(sim_answer(), "\"duplicate\":true"));
    n_duplicates++;
}

static inline void speak(int r, int u)
{
    struct stay *stay = &stays[r][u];
    int v = (int)chance(PEERS + 1);
    bool is_numbered = chance(4) > 0, is_taken;
    char text[128];
    if (!can_ask(stay))
        return;
    if (stay->n > 0 && chance(8) == 0) {
        repeat(r, u);
        return;
    }
    uint64_t n = is_numbered ? model_number(stay) : 0;
    struct room_call call = relay_of(r, u, v, n, text);
    struct room_text *kept = call.rest;
    int err = sim_run(stay->connection, &call);
    room_text_unref(kept);
    assert_int_equal(err, model_say(r, u, v, text, &is_taken));
    if (is_taken)
        model_take(stay, n);
}

static inline void show(int r, int u)
{
    struct stay *stay = &stays[r][u];
    char state[24], rest[48], text[64];
    if (!can_ask(stay))
        return;
    stay->state = (int64_t)chance(1000);
    snprintf(state, sizeof state, "%lld", (long long)stay->state);
    snprintf(rest, sizeof rest, ",\"state\":%s", state);
    struct room_call call = { .order = ROOM_STATE, .room = slice_of(room_names[r]), .state = slice_of(state), .rest = room_text_new(slice_of(rest)) };
    struct room_text *kept = call.rest;
    assert_int_equal(sim_run(stay->connection, &call), 0);
    room_text_unref(kept);
    snprintf(text, sizeof text, "state from=%s", user_names[u]);
    model_news(r, u, text);
}

static inline void drop(int r, int u)
{
    struct stay *stay = &stays[r][u];
    if (!can_ask(stay))
        return;
    bool for_good = chance(6) == 0;
    check_live();
    sim_drop(stay->connection, for_good);
    if (for_good)
        model_gone(r, u, "disconnected");
    else
        model_away(r, u);
}

/* Its socket takes what it is told, and nobody reads it. */
static inline void go_deaf(int r, int u)
{
    check_live();
    if (can_ask(&stays[r][u]))
        stays[r][u].half_dead = true;
}

/* What must be there still: since it went away all but news for which there was no room; before that the newest, for a while. */
static inline bool model_recovers(const struct stay *stay, unsigned after)
{
    for (unsigned i = after + 1; i <= stay->told; i++)
        if (stay->is_missing[i])
            return false;
    return true;
}

/* Whether the hub may have given up something after this number that was told while it was there. */
static inline bool may_be_old(const struct stay *stay, unsigned after)
{
    unsigned before = stay->away || stay->behind ? stay->kept_from : stay->told;
    int64_t until = stay->away ? stay->away_until - GRACE_MS : model_now_ms;
    return after < before && (before - after > QUEUE || until - stay->at_ms[after + 1] >= KEEP_MS);
}

/* The connection that another one has taken its member from. */
static inline void end_replaced(int connection)
{
    if (sim_is_dead(connection))
        return;
    if (sim_is_asleep(connection)) {
        assert_true(n_late_ends < LATE_ENDS);
        late_ends[n_late_ends++] = connection;
        return;
    }
    if (!sim_closed(connection))
        at_fault("connection %d was replaced and is open", connection);
    sim_drop(connection, false);      /* its end is noticed at last: that is nothing to anybody */
}

static inline void resume(int r, int u)
{
    struct stay *stay = &stays[r][u];
    bool says = chance(4) > 0, is_stranger = chance(8) == 0, is_proven = stay->is_proven && chance(8) > 0;
    int connection = free_connection(), old = stay->connection;
    const char *ticket = is_stranger ? stays[r][(u + 1) % PEERS].ticket : stay->ticket;
    if (!*ticket)
        return;
    check_live();
    struct room_call call = { .order = ROOM_JOIN, .room = slice_of(room_names[r]), .user = slice_of(user_names[u]), .resume = slice_of(ticket), .has_last_seq = says, .last_seq = stay->seen, .asker.is_proven = is_proven };
    int err = sim_run(connection, &call);
    if (is_stranger || !stay->there || is_proven != stay->is_proven) {
        assert_int_equal(err, ERR_RESUME_FAILED);
        return;
    }
    assert_int_equal(err, 0);
    n_resumes++;
    bool was_away = stay->away, is_whole = strstr(sim_answer(), "\"recovered\":true") != NULL;
    unsigned after = says ? stay->seen : was_away || stay->behind ? stay->away_from : stay->told;
    if (is_whole && !model_recovers(stay, after))
        at_fault("%s is back in %s and is told that nothing is missing after %u of %u", user_names[u], room_names[r], after, stay->told);
    if (!is_whole && model_recovers(stay, after) && !may_be_old(stay, after))
        at_fault("%s is back in %s, and something after %u of %u is missing", user_names[u], room_names[r], after, stay->told);
    n_lossy += !is_whole;
    stay->lossy = !is_whole;
    stay->seen = says ? stay->seen : after;      /* what it has not asked for it does not get */
    stay->away = stay->half_dead = stay->behind = false;
    stay->connection = connection;
    stay->sat = ++next_sat;
    check_list(r, u);
    check_you(stay);
    read_all(r, u);
    stay->lossy = false;
    if (stay->seen < stay->told && is_whole)
        at_fault("%s is back in %s with %u of %u", user_names[u], room_names[r], stay->seen, stay->told);
    stay->seen = stay->told;
    for (unsigned i = 1; i <= stay->told; i++)
        stay->at_ms[i] = model_now_ms;      /* told again, so kept again */
    if (was_away)
        model_back(r, u);
    else
        end_replaced(old);
}

static inline void begin_anew(int r, int u)
{
    struct stay *stay = &stays[r][u];
    if (!stay->there || !*stay->ticket)      /* that is on its way to it */
        return;
    check_live();
    int connection = free_connection();
    bool is_proven = stay->is_proven;
    struct room_call call = { .order = ROOM_JOIN, .room = slice_of(room_names[r]), .resume = slice_of(stay->ticket), .fresh = true, .asker.is_proven = is_proven };
    assert_int_equal(sim_run(connection, &call), 0);
    model_gone(r, u, "replaced");
    begin_stay(r, u, connection, is_proven);
    model_joined(r, u);
}

/* ---- deeds of others ---- */

static inline bool has_left(int connection, const char *reason)
{
    char expected[40];
    struct buf *told = sim_told(connection);
    snprintf(expected, sizeof expected, "\"reason\":\"%s\"", reason);
    buf_add_char(told, '\0');
    bool has = strstr(told->at, "\"type\":\"left\"") && strstr(told->at, expected);
    buf_reset(told);
    return has;
}

/* Its own connection is told, too. */
static inline void put_out(int r, int u, const char *reason)
{
    struct stay *stay = &stays[r][u];
    if (can_ask(stay) && !has_left(stay->connection, reason))
        at_fault("%s has not been told that it has left %s", user_names[u], room_names[r]);
}

static inline void expel(int r, int u)
{
    check_live();
    int err = sim_run(0, &(struct room_call){ .order = ROOM_EXPEL, .room = slice_of(room_names[r]), .to = slice_of(user_names[u]) });
    assert_int_equal(err, stays[r][u].there ? 0 : ERR_NOT_FOUND);
    if (err)
        return;
    put_out(r, u, "kicked");
    model_gone(r, u, "kicked");
}

static inline void kick(int r, int u)
{
    struct stay *stay = &stays[r][u];
    int v = (int)chance(PEERS);
    if (!can_ask(stay))
        return;
    check_live();
    int err = sim_run(stay->connection, &(struct room_call){ .order = ROOM_KICK, .room = slice_of(room_names[r]), .to = slice_of(user_names[v]) });
    assert_int_equal(err, v == u ? ERR_TO_YOURSELF : stays[r][v].there ? 0 : ERR_PEER_UNAVAILABLE);
    if (err)
        return;
    put_out(r, v, "kicked");
    model_gone(r, v, "kicked");
}

static inline bool is_empty(int r)
{
    for (int u = 0; u < PEERS; u++)
        if (stays[r][u].there)
            return false;
    return true;
}

/* Whether a room that is empty is there still is not in the model. */
static inline void tell(int r)
{
    char rest[48], text[64];
    static unsigned nonce;
    bool is_busy = false;
    unsigned delivered = 0;
    check_live();
    snprintf(rest, sizeof rest, ",\"d\":%u", ++nonce);
    snprintf(text, sizeof text, "broadcast from=null d=%u", nonce);
    struct room_call call = { .order = ROOM_TELL, .room = slice_of(room_names[r]), .frame = ROOM_FRAME_BROADCAST, .rest = room_text_new(slice_of(rest)) };
    struct room_text *kept = call.rest;
    int err = sim_run(0, &call);
    room_text_unref(kept);
    if (is_empty(r)) {
        assert_true(err == ERR_NOT_FOUND || (!err && call.delivered == 0));
        return;
    }
    for (int u = 0; u < PEERS; u++)
        if (stays[r][u].there)
            *(model_tell(&stays[r][u], text, false) ? &delivered : (unsigned *)&(unsigned){ 0 }) += 1;
    is_busy = delivered == 0;
    assert_int_equal(err, is_busy ? ERR_PEER_BUSY : 0);
    assert_int_equal(call.delivered, delivered);
}

static inline void change(int r)
{
    char metadata[24], text[64];
    check_live();
    snprintf(metadata, sizeof metadata, "%u", chance(1000));
    snprintf(text, sizeof text, "room-updated metadata=%s", metadata);
    struct room_call call = { .order = ROOM_CHANGE, .room = slice_of(room_names[r]), .changes = { .has_metadata = true, .metadata = slice_of(metadata) } };
    int err = sim_run(0, &call);
    if (is_empty(r)) {
        assert_true(err == 0 || err == ERR_NOT_FOUND);
        return;
    }
    assert_int_equal(err, 0);
    model_news(r, -1, text);
}

static inline void make(int r)
{
    int err = sim_run(0, &(struct room_call){ .order = ROOM_CREATE, .room = slice_of(room_names[r]) });
    assert_true(err == ERR_ROOM_EXISTS || (!err && is_empty(r)));
}

static inline void remove_all(int r)
{
    check_live();
    int err = sim_run(0, &(struct room_call){ .order = ROOM_REMOVE, .room = slice_of(room_names[r]) });
    assert_true(err == 0 || (err == ERR_NOT_FOUND && is_empty(r)));
    for (int u = 0; u < PEERS; u++) {
        if (stays[r][u].there)
            put_out(r, u, "ended");
        stays[r][u].there = false;
    }
}

static inline void administer(int r, int u)
{
    switch (chance(12)) {
    case 0: case 1: expel(r, u); break;
    case 2: case 3: case 4: tell(r); break;
    case 5: case 6: change(r); break;
    case 7: make(r); break;
    case 8: if (chance(4) == 0) remove_all(r); break;
    default: kick(r, u); break;
    }
}

/* Graces end one after the other, each at its moment. */
static inline void model_pass(int64_t ms)
{
    sim_pass(ms);
    model_now_ms += ms;
}

static inline void pass(int64_t ms)
{
    int64_t end = model_now_ms + ms;
    check_live();
    for (;;) {
        int64_t first = end + 1;
        for (int r = 0; r < ROOMS; r++)
            for (int u = 0; u < PEERS; u++)
                if (stays[r][u].there && stays[r][u].away && stays[r][u].away_until < first)
                    first = stays[r][u].away_until;
        if (first > end)
            break;
        if (first - 1 > model_now_ms) {
            model_pass(first - 1 - model_now_ms);
            check_live();      /* nobody has left yet */
        }
        if (first > model_now_ms)
            model_pass(first - model_now_ms);
        for (int r = 0; r < ROOMS; r++)
            for (int u = 0; u < PEERS; u++)
                if (stays[r][u].there && stays[r][u].away && stays[r][u].away_until == first) {
                    n_timeouts++;
                    model_gone(r, u, "timeout");
                }
    }
    if (end > model_now_ms)
        model_pass(end - model_now_ms);
    check_live();
}

static inline void deed(void)
{
    int r = (int)chance(ROOMS), u = (int)chance(PEERS);
    pass(1);      /* no two things happen at one moment */
    switch (chance(20)) {
    case 0: case 1: case 17: join(r, u); break;
    case 2: leave(r, u); break;
    case 3: case 4: case 5: case 6: case 18: case 19: speak(r, u); break;
    case 7: show(r, u); break;
    case 8: drop(r, u); break;
    case 9: go_deaf(r, u); break;
    case 10: case 11: case 12: resume(r, u); break;
    case 13: begin_anew(r, u); break;
    case 14: if (chance(2) == 0) administer(r, u); break;
    default: pass(chance(6) ? chance(2000) : chance(40000)); break;
    }
}

static inline void model_begin(unsigned seed)
{
    memset(stays, 0, sizeof stays);
    rounds = seed;
    steps = next_order = next_sat = 0;
    next_connection = n_late_ends = 0;
    chance_state = seed * 7919;
}

/* Whoever is there loses its connection, and leaves when its grace is over; then the rooms end. */
static inline void model_end(void)
{
    check_live();
    for (int r = 0; r < ROOMS; r++)
        for (int u = 0; u < PEERS; u++) {
            pass(1);
            drop(r, u);
        }
    pass(GRACE_MS);
    pass(EMPTY_MS);
}
