#include "hub/api/batch_target.h"

#include "hub/api/batch.h"
#include "hub/api/problem.h"
#include "hub/api/wish.h"
#include "hub/base/err.h"
#include "hub/base/name.h"

static int count_one(void *arg, struct slice value)
{
    (void)value;
    ++*(size_t *)arg;
    return 0;
}

static bool is_given(struct slice value) { return value.at && !slice_is(value, SLICE("null")); }

size_t batch_target_count(const struct json_object *object)
{
    size_t n = 0;
    struct slice channels = json_member_find(object, "channels");
    return is_given(channels) && !json_array_each(channels, count_one, &n) && n > 0 ? n : 1;
}

static void read_channels(const struct json_object *object, struct slice *ret, struct problem *problem)
{
    size_t n = 0;
    struct slice channels = json_member_find(object, "channels");
    if (!is_given(channels))
        return;
    *ret = channels;
    if (json_array_each(channels, count_one, &n))
        problem_add(problem, "channels", ERR_BAD_FIELD, "channels is an array of channel names");
    else if (n == 0)
        problem_add(problem, "channels", ERR_NO_CHANNEL, "channels is empty");
    else if (n > BATCH_MAX)
        problem_add(problem, "channels", ERR_TOO_MANY_ITEMS, NULL);
}

/* Messages to a user go to the user's own channel; nobody's is no channel. */
static struct slice channel_of(struct slice user, struct buf *scratch)
{
    size_t before = scratch->len;
    if (user.len == 0)
        return SLICE("");
    buf_add_slice(scratch, SLICE(USER_CHANNEL_PREFIX));
    buf_add_slice(scratch, user);
    return slice(scratch->at + before, scratch->len - before);
}

static void read_pattern(const struct json_object *object, struct buf *scratch, struct slice *ret, struct problem *problem)
{
    wish_read_string(object, "pattern", scratch, ret, problem);
    int err = ret->at ? pattern_check(*ret) : 0;
    if (err)
        problem_add(problem, "pattern", err, NULL);
}

void batch_target_read(const struct json_object *object, struct buf *scratch, struct batch_target *ret, struct problem *problem)
{
    struct batch_target target = { 0 };
    struct slice user = { 0 };
    size_t before = problem->n;
    wish_read_string(object, "channel", scratch, &target.channel, problem);
    wish_read_string(object, "user", scratch, &user, problem);
    read_pattern(object, scratch, &target.pattern, problem);
    read_channels(object, &target.channels, problem);
    int n = (target.channel.at != NULL) + (user.at != NULL) + (target.pattern.at != NULL) + (target.channels.at != NULL);
    if (n > 1)
        problem_add(problem, NULL, ERR_BAD_FIELD, "only one of channel, channels, pattern and user");
    else if (n == 0 && problem->n == before)
        problem_add(problem, NULL, ERR_NO_CHANNEL, "name one of channel, channels, pattern and user");
    if (user.at)
        target.channel = channel_of(user, scratch);
    if (target.channel.at && channel_name_check(target.channel))
        problem_add(problem, user.at ? "user" : "channel", ERR_BAD_CHANNEL, NULL);
    *ret = target;
}
