#include "transports/edge/lag.h"

#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/config/config.h"
#include "hub/metrics.h"
#include "transports/edge/catchup.h"

static struct sub *sub_of(struct link *l) { return link_of(l, struct sub, catchup_link); }

/* ---- what is done ---- */

static const struct {
    const char *name;
    enum metric metric;
} policies[] = {
    [LAG_DISCONNECT] = { "disconnect", METRIC_slow_closed },
    [LAG_SKIP]       = { "skip", METRIC_slow_skipped },
    [LAG_LATEST]     = { "latest", METRIC_slow_conflated },
};

/* A reader that is behind all the time is conflated again and again: the log is told of that once. */
static void tell_behind(struct conn *conn, const struct feed *feed, enum lag_policy policy)
{
    enum log_level level = policy == LAG_LATEST && conn->conflated ? LOG_DEBUG : LOG_INFO;
    struct slice channel = feed_name(feed), user = principal_user(conn->principal);
    char name[CONNECTION_TEXT];
    conn->conflated |= policy == LAG_LATEST;
    metric_add(policies[policy].metric, 1);
    if (!log_enabled(level))
        return;
    conn_name(conn, name);
    log_line(level, name, "fell behind channel=%.*s policy=%s user=%.*s", (int)channel.len, channel.at, policies[policy].name, (int)user.len,
             user.at);
}

/* Of the channels that an answer has a gap in, the one whose rule is the strictest (EXACT.md 16); `latest` does not count where it has
 * been done already. NULL: none. The channels of the answer are those of its subscriptions, in order. */
static const struct feed *strictest_incomplete(const struct catchup *cu, const struct fetch_call *answer)
{
    const struct feed *strictest = NULL;
    size_t i = 0;
    list_each(l, following, (struct link *)&cu->subs) {
        const struct feed *feed = sub_of(l)->feed;
        if (i == answer->n_channels || answer->channels[i].name.at != feed->name)
            continue;
        const struct fetch_channel *channel = &answer->channels[i++];
        if (!channel->incomplete || (answer->conflates && feed->rule->lag_policy == LAG_LATEST))
            continue;
        if (!strictest || feed->rule->lag_policy < strictest->rule->lag_policy)
            strictest = feed;
    }
    return strictest;
}

bool lag_apply(struct catchup *cu, const struct fetch_call *answer)
{
    const struct feed *feed = strictest_incomplete(cu, answer);
    if (!feed)
        return true;
    tell_behind(cu->conn, feed, feed->rule->lag_policy);
    if (feed->rule->lag_policy == LAG_DISCONNECT)
        conn_close(cu->conn, ERR_SLOW);
    return feed->rule->lag_policy != LAG_DISCONNECT;
}

static void conflate(struct catchup *cu, const struct feed *feed)
{
    tell_behind(cu->conn, feed, LAG_LATEST);
    cu->conflates = true;
    if (cu->stage >= CATCHUP_WRITING && !cu->batch->fetch.conflates)
        catchup_put_back(cu);
    cu->since.from = FETCH_LATEST;
    cu->since.whole_after = 0;
    conn_dirty(cu->conn);
}

/* When all that is concerned wants the newest. */
bool lag_conflates(struct catchup *cu, const struct fetch_call *answer)
{
    if (!answer->gap || answer->gap == GAP_EPOCH || cu->marked || !cu->conn->was_live || cu->conflates || answer->from != FETCH_AFTER)
        return false;
    const struct feed *feed = strictest_incomplete(cu, answer);
    if (!feed || feed->rule->lag_policy != LAG_LATEST)
        return false;
    batch_leave(cu);
    cu->stage = CATCHUP_WANTS;
    conflate(cu, feed);
    return true;
}

void lag_restart(struct catchup *cu)
{
    cu->debt = (int64_t)cu->batch->bytes.len;
    list_each(l, following, &cu->subs)
        cu->debt -= (int64_t)sub_of(l)->feed->seen_bytes;
}

/* ---- bytes ---- */

int64_t conn_lag(const struct conn *conn)
{
    const struct catchup *resume = catchup_resume(conn);
    if (!resume || resume->since.from == FETCH_NOW || resume->conflates || link_alone(&resume->subs))
        return 0;
    int64_t behind = resume->debt;
    list_each(l, following, (struct link *)&resume->subs)
        behind += (int64_t)sub_of(l)->feed->seen_bytes;
    return behind;
}

enum lag_policy lag_strictest(const struct conn *conn)
{
    enum lag_policy strictest = LAG_LATEST;
    uint32_t at = 0;
    for (const struct sub *sub; (sub = sub_set_next(&conn->subs, &at));)
        if (sub->feed->rule->lag_policy < strictest)
            strictest = sub->feed->rule->lag_policy;
    return strictest;
}

void conn_fell_behind(struct conn *conn, const struct feed *feed)
{
    enum lag_policy policy = feed->rule->lag_policy == LAG_SKIP ? lag_strictest(conn) : feed->rule->lag_policy;
    if (policy == LAG_DISCONNECT) {
        tell_behind(conn, feed, policy);
        conn_close(conn, ERR_SLOW);
        return;
    }
    conn_fall_back(conn);
    struct catchup *resume = catchup_resume(conn);
    if (!resume)
        return;
    if (policy == LAG_LATEST && resume->since.from != FETCH_NOW)
        conflate(resume, feed);
    else
        resume->since.from = FETCH_NOW;      /* the policy is applied when the answer tells where it goes on */
}

void conn_check_lag(struct conn *conn)
{
    const struct catchup *resume = catchup_resume(conn);
    const struct feed *strictest = NULL;
    int64_t lag = conn_lag(conn);
    if (!resume || lag <= 0)
        return;
    list_each(l, following, (struct link *)&resume->subs) {
        const struct feed *feed = sub_of(l)->feed;
        if (feed->rule->lag_bytes > 0 && lag > (int64_t)feed->rule->lag_bytes &&
            (!strictest || feed->rule->lag_policy < strictest->rule->lag_policy))
            strictest = feed;
    }
    if (strictest)
        conn_fell_behind(conn, strictest);
}
