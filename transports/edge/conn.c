#include "transports/edge/conn.h"

#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/base/log.h"
#include "hub/base/name.h"
#include "hub/config/config.h"
#include "hub/connection_id.h"
#include "hub/metrics.h"
#include "transports/edge/attend.h"
#include "transports/edge/catchup.h"
#include "transports/edge/control.h"
#include "transports/edge/dwell.h"
#include "transports/edge/edge.h"
#include "transports/edge/tenure.h"

#include <stdlib.h>

enum { OUTBOX_MAX = 256 * 1024, OPENED_AT_ONCE = 64 };

/* ---- life ---- */

struct extra *extra_new(struct slice client)
{
    struct extra *extra = malloc(sizeof *extra + client.len + 1);
    if (!extra)
        return NULL;
    *extra = (struct extra){ .place = TENURE_NONE };
    if (client.len > 0)
        memcpy(extra->client, client.at, client.len);
    extra->client[client.len] = '\0';
    return extra;
}

struct conn *conn_new(struct edge *edge, const struct protocol *protocol, void *line, struct principal *principal, struct slice client)
{
    struct conn *conn = malloc(sizeof *conn);
    bool ends = principal_expires_s(principal) != INT64_MAX, more = ends || client.len > 0;
    struct extra *extra = more ? extra_new(client) : NULL;
    if (conn)
        conn->id = edge->next_id << 8 | edge->peer;
    if (!conn || (more && !extra) || (ends && tenures_make_room(&edge->tenures)) || roster_add(&edge->roster, conn)) {
        free(conn);
        free(extra);
        principal_unref(principal);
        return NULL;
    }
    *conn = (struct conn){
        .since_s = (uint32_t)(clock_wall_ms(edge->clock) / 1000),
        .edge = edge, .protocol = protocol, .line = line, .principal = principal, .extra = extra,
        .id = edge->next_id++ << 8 | edge->peer, .format = protocol->format, .conn_state = CONN_OPEN,
    };
    link_init(&conn->link);
    link_init(&conn->dirty_link);
    link_init(&conn->due_link);
    link_init(&conn->pending);
    link_init(&conn->catchups);
    list_add_last(&edge->conns, &conn->link);
    edge->n_conns++;
    crowd_enter(edge->crowd);
    edge->crowded |= ++edge->opened % OPENED_AT_ONCE == 0;
    metric_add((enum metric)protocol->gauge, +1);
    if (ends)
        tenure_begin(conn);
    if (edge->draining)
        conn_dirty(conn);
    return conn;
}

static void log_closed(const struct conn *conn, enum log_level level, int err)
{
    if (!log_enabled(level))
        return;
    char name[CONNECTION_TEXT];
    struct slice who = principal_name(conn->principal), user = principal_user(conn->principal);
    conn_name(conn, name);
    log_line(level, name, "closed reason=%s transport=%s who=%.*s user=%.*s", err_code(err), conn->protocol->name, (int)who.len,
             who.at, (int)user.len, user.at);
}

int64_t conn_retry_ms(struct conn *conn)
{
    const struct edge *edge = conn->edge;
    conn->retry_step = crowd_step(edge->crowd, edge->config);
    return crowd_delay_ms(edge->crowd, edge->config, conn->id);
}

bool conn_retry_is_old(const struct conn *conn)
{
    return crowd_step_is_old(conn->retry_step, crowd_step(conn->edge->crowd, conn->edge->config));
}

static bool is_crowded(const struct conn *conn)      { return conn->outbox && conn->outbox->len > OUTBOX_MAX; }
bool conn_is_stuck(const struct conn *conn)          { return conn->choked && is_crowded(conn); }

/* It shall not come back, unless it is here again already. */
static bool is_for_good(const struct parting *parting)
{
    int code = parting_code(parting);
    return code >= 4100 && code < 4200 && parting->err != ERR_REPLACED;
}

void conn_close_for(struct conn *conn, const struct parting *parting)
{
    struct edge *edge = conn->edge;
    if (conn->conn_state != CONN_OPEN)
        return;
    log_closed(conn, conn->protocol->fleeting && parting->err == ERR_NORMAL ? LOG_DEBUG : LOG_INFO, parting->err);
    conn->conn_state = CONN_CLOSING;
    link_remove(&conn->due_link);
    if (parting->err == ERR_MEMORY || conn_is_stuck(conn))
        conn_drop_outbox(conn);      /* nobody takes it; what must be said now is why it ends */
    edge->farewell = conn;
    conn->protocol->farewell(conn, parting);
    edge->farewell = NULL;
    dwell_end(conn, is_for_good(parting));
    conn_dirty(conn);
}

void conn_close(struct conn *conn, int err) { conn_close_for(conn, &(struct parting){ .err = err }); }

void conn_gone(struct conn *conn)
{
    struct edge *edge = conn->edge;
    if (conn->conn_state == CONN_GONE)
        return;
    if (conn->conn_state == CONN_OPEN)
        log_closed(conn, LOG_DEBUG, ERR_GONE);
    conn->conn_state = CONN_GONE;
    conn->line = NULL;
    dwell_end(conn, false);
    link_remove(&conn->due_link);
    list_add_last(&edge->doomed, &conn->link);
    roster_remove(&edge->roster, conn);
    tenure_end(conn);
    edge->n_conns--;
    crowd_leave(edge->crowd);
    metric_add((enum metric)conn->protocol->gauge, -1);
    conn_dirty(conn);
}

void conn_leave(struct conn *conn)
{
    while (!link_alone(&conn->catchups))
        catchup_free(link_of(conn->catchups.next, struct catchup, link));
    uint32_t at = 0;
    for (struct sub *sub; (sub = sub_set_next(&conn->subs, &at)); sub_set_again(&at))
        feed_unsubscribe(sub);
}

void conn_free(struct conn *conn)
{
    conn_leave(conn);
    conn_drop_outbox(conn);
    link_remove(&conn->link);
    link_remove(&conn->dirty_link);
    principal_unref(conn->principal);
    free(conn->extra);
    free(conn);
}

size_t conn_name(const struct conn *conn, char out[CONNECTION_TEXT])
{
    return connection_print(out, conn->edge->node, conn->id);
}

struct slice conn_client(const struct conn *conn, char scratch[CONNECTION_TEXT])
{
    return conn->extra && conn->extra->client[0] ? slice_of(conn->extra->client) : slice(scratch, conn_name(conn, scratch));
}

uint32_t conn_exclusion(const struct conn *conn)
{
    char scratch[CONNECTION_TEXT];
    const struct exclusions *exclusions = &conn->edge->exclusions;
    return exclusions_none(exclusions) ? 0 : exclusion_find(exclusions, conn_client(conn, scratch));
}

/* ---- what is its own ---- */

void conn_dirty(struct conn *conn)
{
    if ((!conn->choked || conn->conn_state != CONN_OPEN) && link_alone(&conn->dirty_link))
        list_add_last(&conn->edge->dirty_conns, &conn->dirty_link);
}

void conn_on_writable(struct conn *conn)
{
    conn->choked = false;
    conn_dirty(conn);
}

void conn_drop_outbox(struct conn *conn)
{
    if (!conn->outbox)
        return;
    buf_fini(conn->outbox);
    free(conn->outbox);
    conn->outbox = NULL;
}

static bool may_speak(const struct conn *conn) { return conn->conn_state == CONN_OPEN || conn->edge->farewell == conn; }

/* What is said at once may pass the bound: a large answer, the many of a subscribe to many channels. It is a reader's fault
 * only when its line has been tried and takes nothing. */
struct buf *conn_say_begin(struct conn *conn)
{
    struct buf *nowhere = &conn->edge->nowhere;
    nowhere->failed = true;
    if (!may_speak(conn))
        return nowhere;
    if (conn_is_stuck(conn)) {
        conn_close(conn, ERR_SLOW);
        return nowhere;
    }
    if (!conn->outbox && !(conn->outbox = calloc(1, sizeof *conn->outbox)))
        return nowhere;
    return conn->outbox;
}

void conn_say_end(struct conn *conn)
{
    if (!may_speak(conn))
        return;
    if (!conn->outbox || conn->outbox->failed) {
        conn_drop_outbox(conn);
        conn_close(conn, ERR_MEMORY);
        return;
    }
    conn->edge->crowded |= is_crowded(conn);
    conn_mind_input(conn);
    conn_dirty(conn);
}

void conn_say(struct conn *conn, const void *frames, size_t n)
{
    buf_add(conn_say_begin(conn), frames, n);
    conn_say_end(conn);
}

/* ---- subscriptions ---- */

static struct sub *find_sub(const struct conn *conn, struct slice name)
{
    const struct feed *feed = feed_find(conn->edge, name, hash_bytes(name));
    return feed ? sub_set_find(&conn->subs, feed) : NULL;
}

static size_t patterns_of(const struct sub_set *subs)
{
    uint32_t at = 0;
    size_t n = 0;
    for (const struct sub *sub; (sub = sub_set_next(subs, &at));)
        n += sub->feed->is_pattern;
    return n;
}

static int check_numbers(const struct config *config, const struct sub_set *subs, size_t n, size_t patterns)
{
    if (n > config->limits_channels || subs->n + n > config->limits_channels)
        return ERR_TOO_MANY_CHANNELS;
    return patterns > 0 && patterns_of(subs) + patterns > config->limits_patterns ? ERR_TOO_MANY_PATTERNS : 0;
}

int subscriptions_check(const struct config *config, const struct slice *names, size_t n, const struct sub_set *subs)
{
    size_t patterns = 0;
    for (size_t i = 0; i < n; i++)
        patterns += name_is_pattern(names[i]);
    int err = check_numbers(config, subs, n, patterns);
    for (size_t i = 0; i < n && !err; i++)
        err = pattern_check(names[i]);
    return err;
}

/* Feeds that are there already are not named yet: add_subs names them. */
static int check_names(struct conn *conn, const struct slice *names, size_t n)
{
    int err = subscriptions_check(conn->edge->config, names, n, &conn->subs);
    if (err)
        return err;
    for (size_t i = 0; i < n; i++) {
        struct feed *feed = feed_find(conn->edge, names[i], hash_bytes(names[i]));
        if (feed && sub_set_find(&conn->subs, feed))
            return ERR_ALREADY_SUBSCRIBED;
        if ((err = principal_may(conn->principal, OP_SUBSCRIBE, names[i])))
            return err;
        if (feed)
            feed->named = false;
    }
    return 0;
}

/* A name twice counts once: its feed is named by the first. */
static int add_subs(struct conn *conn, const struct slice *names, size_t n, struct catchup *cu)
{
    struct sub *sub;
    for (size_t i = 0; i < n; i++) {
        struct feed *feed = feed_find(conn->edge, names[i], hash_bytes(names[i]));
        if (feed && feed->named)
            continue;
        if (feed_subscribe(conn, names[i], &sub))
            return ERR_MEMORY;
        sub->feed->named = true;
        catchup_add(cu, sub);
        if (attend(sub, false))
            return ERR_MEMORY;
    }
    return 0;
}

/* To all of them that are not named yet, or to none. */
static int begin_subs(struct conn *conn, const struct slice *names, size_t n, struct catchup *cu)
{
    if (!cu)
        return ERR_MEMORY;
    if (add_subs(conn, names, n, cu)) {
        while (!link_alone(&cu->subs))
            feed_unsubscribe(link_of(cu->subs.next, struct sub, catchup_link));
        catchup_free(cu);
        return ERR_MEMORY;
    }
    conn_mind_input(conn);
    conn_dirty(conn);
    return 0;
}

/* Does the rule of one of them have it begin with the newest message? Patterns begin now. */
static bool any_begins_with_last(const struct conn *conn, const struct slice *names, size_t n)
{
    const struct config *config = conn->edge->config;
    for (size_t i = 0; i < n && config->last_any; i++)
        if (!name_is_pattern(names[i]) && config_channel_rule(config, names[i])->last)
            return true;
    return false;
}

int conn_subscribe(struct conn *conn, const struct slice *names, size_t n, const struct since *since, bool marked, void *tag)
{
    static const struct since newest = { .from = FETCH_LATEST, .by_rule = true };
    if (since->from == FETCH_NOW && any_begins_with_last(conn, names, n))
        since = &newest;
    enum catchup_kind kind = since->from == FETCH_NOW ? CATCHUP_NOW : marked ? CATCHUP_REPLAY : CATCHUP_RESUME;
    if (conn->conn_state != CONN_OPEN)
        return ERR_GONE;
    if (n == 0)
        return ERR_NO_CHANNEL;
    int err = check_names(conn, names, n);
    if (err)
        return err;
    struct catchup *cu = catchup_new(conn, kind, since, false, NULL);
    err = begin_subs(conn, names, n, cu);
    if (!err)
        cu->tag = tag;
    return err;
}

/* Feeds that it has are named already, as add_subs would have done. */
static size_t count_new(struct conn *conn, const struct slice *names, size_t n, size_t *ret_patterns)
{
    size_t found = 0, patterns = 0;
    for (size_t i = 0; i < n; i++) {
        struct feed *feed = feed_find(conn->edge, names[i], hash_bytes(names[i]));
        bool has = feed && sub_set_find(&conn->subs, feed);
        if (feed)
            feed->named = has;
        found += !has;
        patterns += !has && name_is_pattern(names[i]);
    }
    *ret_patterns = patterns;
    return found;
}

int conn_assign(struct conn *conn, const struct slice *names, size_t n, bool given)
{
    if (conn->conn_state != CONN_OPEN)
        return ERR_GONE;
    size_t patterns, n_new = count_new(conn, names, n, &patterns);
    int err = n_new == 0 ? 0 : check_numbers(conn->edge->config, &conn->subs, n_new, patterns);
    if (err)
        return err;
    err = n_new == 0 ? 0 : begin_subs(conn, names, n, catchup_new(conn, CATCHUP_NOW, &(struct since){ .from = FETCH_NOW }, false, NULL));
    for (size_t i = 0; i < n && given && !err; i++)
        find_sub(conn, names[i])->reader.given = true;
    return err;
}

int conn_may_ask(const struct conn *conn, const struct slice *names, size_t n)
{
    int err = 0;
    for (size_t i = 0; i < n && !err; i++)
        err = name_is_pattern(names[i]) ? ERR_NO_PATTERN : principal_may(conn->principal, OP_PRESENCE, names[i]);
    return err;
}

int conn_ask(struct conn *conn, const struct slice *names, size_t n)
{
    int err = 0;
    for (size_t i = 0; i < n && !err; i++) {
        struct sub *sub = find_sub(conn, names[i]);
        err = sub ? attend(sub, true) : 0;
    }
    return err;
}

int conn_unsubscribe(struct conn *conn, struct slice name)
{
    struct sub *sub = find_sub(conn, name);
    if (!sub)
        return ERR_NOT_SUBSCRIBED;
    struct catchup *beginning = link_alone(&sub->catchup_link) ? NULL : catchup_beginning_with(conn, sub);
    if (beginning)
        conn->protocol->withdrawn(conn, beginning, feed_name(sub->feed));
    catchups_skip(conn, sub->feed);
    feed_unsubscribe(sub);
    conn_dirty(conn);
    return 0;
}

bool conn_is_subscribed(const struct conn *conn, struct slice name) { return find_sub(conn, name) != NULL; }

/* ---- calls ---- */

/* Too many calls of this connection are under way, more mail to the hub than it can take, or nobody takes the answers. */
static bool must_pause(const struct conn *conn)
{
    return conn->held || conn_is_stuck(conn) ||
           (conn->calls > 0 && (conn->calls >= conn->edge->config->limits_commands || !post_has_room(&conn->edge->to_hub)));
}

void conn_mind_input(struct conn *conn)
{
    bool pause = must_pause(conn);
    if (conn->conn_state != CONN_OPEN || conn->paused == pause)
        return;
    conn->paused = pause;
    conn->edge->line->pause(conn, pause);
}

void conn_hold(struct conn *conn, bool held)
{
    conn->held = held;
    conn_mind_input(conn);
}

int conn_call(struct conn *conn, struct call *call, size_t bytes, enum access_op op, struct slice channel)
{
    int err = principal_may(conn->principal, op, channel);
    if (err)
        return err;
    conn_submit(conn, call, bytes);
    return 0;
}

void conn_submit(struct conn *conn, struct call *call, size_t bytes)
{
    call->from = conn->edge->peer;
    conn->calls++;
    call_submit(&conn->edge->to_hub, call, bytes);
    conn_mind_input(conn);
}

void conn_call_done(struct conn *conn)
{
    conn->calls--;
    conn_mind_input(conn);
}

/* ---- time and position ---- */

void conn_move_to(struct conn *conn, struct position p)
{
    if (p.epoch == conn->position.epoch && p.seq <= conn->position.seq)
        return;
    conn->position = p;
    conn->told = false;
}

bool conn_at_end(const struct conn *conn)
{
    return conn->conn_state == CONN_OPEN && !conn->choked && !conn->outbox && link_alone(&conn->pending) &&
           catchups_let_rings(conn);
}

/* What became due while it waited for the head is found in the next slot. */
static void to_wheel(struct conn *conn)
{
    struct edge *edge = conn->edge;
    int64_t second = conn->due_s > edge->wheel_s ? conn->due_s : edge->wheel_s + 1;
    list_add_last(&edge->wheel[second % WHEEL_SLOTS], &conn->due_link);
}

void conn_due_in(struct conn *conn, int seconds)
{
    if (conn->conn_state != CONN_OPEN)
        return;
    if (!conn->wants_head)
        link_remove(&conn->due_link);
    conn->due_s = 0;
    if (seconds <= 0)
        return;
    conn->due_s = (uint32_t)(clock_mono_ms(conn->edge->clock) / 1000 + seconds);
    if (!conn->wants_head)
        to_wheel(conn);
}

void conn_want_head(struct conn *conn)
{
    if (conn->wants_head || conn->conn_state != CONN_OPEN)
        return;
    conn->wants_head = true;
    list_add_last(&conn->edge->head_wanted, &conn->due_link);
    if (conn->edge->head.epoch == 0)
        edge_ask_head(conn->edge);
}

/* The head has come: back into the wheel, and a position as fresh as it can be. Who has none yet, because it is about to
 * begin, waits for the next. */
void conn_on_head(struct conn *conn)
{
    link_remove(&conn->due_link);
    if (conn_at_end(conn) && (conn->position.epoch || conn->subs.n == 0))      /* not before `ready` has told where it begins */
        conn_move_to(conn, conn->edge->head);
    if (conn->position.epoch == 0) {
        list_add_last(&conn->edge->head_wanted, &conn->due_link);
        return;
    }
    conn->wants_head = false;
    if (conn->due_s)
        to_wheel(conn);
    if (!conn_is_stuck(conn))
        conn->protocol->position(conn);
}
