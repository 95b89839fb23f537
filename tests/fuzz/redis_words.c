/* Words of the parts of a bus (redis/bus/redis_bus.h): of asks, errands, records, nodes and members, on a bus that has no Redis, beside a real hub.
 * Input: words as Redis brings them, the kind of their part first, each behind a byte of length. A record that is taken in has a name and a
 * version; whatever is said, all can be given back at the end. */
#include "hub/access/authority.h"
#include "hub/base/clock.h"
#include "hub/base/hash.h"
#include "hub/base/log.h"
#include "hub/config/config.h"
#include "hub/hub.h"
#include "hub/spoke.h"
#include "redis/bus/redis_bus_core.h"
#include "redis/parts/redis_errands.h"
#include "redis/parts/redis_members.h"
#include "redis/parts/redis_members_core.h"
#include "redis/parts/redis_nodes.h"
#include "redis/parts/redis_records.h"
#include "tests/fuzz/fuzz.h"

#include <event2/event.h>

struct house {
    struct config         config;
    struct redis_url      url;
    struct serving        serving;
    struct redis_bus     *bus;
    struct redis_asks    *asks;
    struct redis_records *records;
    struct redis_members *members;
    struct redis_nodes    nodes;
    struct redis_errands  errands;
};

/* ---- what the bus and its parts tell ---- */

static void told_nothing(void *owner) { (void)owner; }
static void told_position(void *owner, struct position head) { (void)owner, (void)head; }
static void told_why(void *owner, const char *why) { (void)owner, (void)why; }
static void told_message(void *owner, struct msg *m) { (void)owner, msg_unref(m); }
static void told_name(void *owner, struct slice name) { (void)owner, (void)name; }
static void told_answer(void *owner, struct call *call, int err) { (void)owner, (void)call, (void)err; }
static const struct redis_bus_ops bus_ops = {
    .live = told_position, .head = told_position, .away = told_why, .refused = told_why, .message = told_message, .behind = told_name,
    .purged = told_nothing, .answer = told_answer,
};

static int put_record(void *owner, struct slice kind, struct slice key, struct slice value)
{
    (void)owner;
    must(kind.len + key.len <= UINT8_MAX, "a name of %zu bytes", kind.len + key.len);
    return hash_bytes(value) == 0;      /* every byte of it is read */
}
static bool print_record(void *owner, struct slice kind, struct slice key, struct buf *out)
{
    (void)owner, (void)key;
    buf_add_slice(out, kind);
    return kind.len > 1;
}
static void recorded(void *owner, struct record_call *change, int err) { (void)owner, (void)change, (void)err; }
static void changed(void *owner, struct record_call *change)           { (void)owner, (void)change; }
static const struct redis_records_ops records_ops = {
    .put = put_record, .print = print_record, .recorded = recorded, .undo = changed, .redo = changed, .loaded = told_nothing,
};

static void describe(void *owner, struct redis_node *node) { (void)owner, (void)node; }
static void turn(void *arg) { hub_turn(((struct serving *)arg)->hub); }

/* ---- the house ---- */

static int64_t now_ms(const struct clock *clock) { (void)clock; return 1000000; }
static const struct clock still = { now_ms, now_ms };

static void open_house(struct house *house)
{
    log_setup(LOG_ERROR, LOG_TEXT);
    house->config = *config_defaults();
    config_general_rule(&house->config);
    house->url = (struct redis_url){ .unix_path = (char *)(uintptr_t)"nowhere" };
    house->serving = (struct serving){ .config = &house->config, .clock = &still, .authority = authority_new(), .base = event_base_new() };
    house->serving.hub = hub_new(&house->config, &still, NULL, (struct hub_start){ 1, 1, UINT64_MAX, 0, SLICE("") });
    must(house->serving.hub && house->serving.authority && house->serving.base, "no hub");
    house->bus = redis_bus_new(&(struct redis_bus_setup){ .link = { .base = house->serving.base, .url = &house->url, .connect_ms = 1000, .command_ms = 1000 },
                                                         .config = &house->config, .prefix = "f", .meta_ms = 1000, .index_length = 100, .ops = &bus_ops });
    must(house->bus, "no bus");
    redis_nodes_init(&house->nodes, &(struct redis_nodes_setup){ house->bus, 1000, describe, NULL });
    house->asks = redis_asks_new(house->bus);
    house->records = redis_records_new(house->bus, &records_ops, NULL);
    house->members = redis_members_new(&(struct redis_members_setup){ house->bus, &house->nodes, house->serving.base, house->serving.hub, turn, &house->serving });
    must(house->asks && house->records && house->members, "no parts");
    house->errands = (struct redis_errands){ .serving = &house->serving, .bus = house->bus, .asks = house->asks, .nodes = &house->nodes, .turn = turn,
                                             .turn_arg = &house->serving };
    redis_errands_init(&house->errands);
    redis_members_follow(house->members, SLICE("c"), hash_bytes(SLICE("c")), true);
    list_each(item, next, &house->bus->parts) {
        struct redis_part *part = link_of(item, struct redis_part, link);
        if (part->live)
            part->live(part, true);
    }
}

static void close_house(struct house *house)
{
    redis_bus_free(house->bus);
    redis_asks_free(house->asks);
    redis_errands_fini(&house->errands);
    redis_records_free(house->records);
    redis_members_free(house->members);
    redis_nodes_fini(&house->nodes);
    hub_free(house->serving.hub);
    authority_free(house->serving.authority);
    event_base_loop(house->serving.base, EVLOOP_NONBLOCK);
    event_base_free(house->serving.base);
}

/* ---- what is said ---- */

static void look_at_list(struct slice rest)
{
    struct listed_member one;
    for (size_t left = rest.len; redis_listed_take(&rest, &one); left = rest.len)
        must(rest.len < left && one.user.len + one.info.len <= left, "a member of nothing");
}

static void say(struct house *house, struct slice word)
{
    char *copy = piece_of(word);
    struct slice payload = slice(copy, word.len);
    list_each(item, next, &house->bus->parts) {
        struct redis_part *part = link_of(item, struct redis_part, link);
        if (part->word && payload.len > 0 && part->kind == *payload.at)
            part->word(part, slice(payload.at + 1, payload.len - 1));
    }
    look_at_list(payload);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct house house = { .bus = NULL };
    struct slice rest = input(data, size);
    open_house(&house);
    while (rest.at && rest.len > 0)
        say(&house, take_short(&rest));
    close_house(&house);
    return 0;
}
