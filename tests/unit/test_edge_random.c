/* The edge under random schedules. Every frame that a client reads is checked (edge_world.h); SEED=n runs one again. */
#include "edge_world.h"

enum { SEEDS = 1500, STEPS = 500 };

static uint64_t random_state, running = SEEDS + 1;
static uint32_t draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % below;
}

static struct client *any_client(void)
{
    struct client *c = &world->clients[draw(CLIENTS)];
    return c->conn && c->conn->conn_state == CONN_OPEN ? c : NULL;
}

static void some_channels(char out[5])
{
    uint32_t n = 0;
    for (char ch = 'a'; ch < 'e'; ch++)
        if (draw(3) == 0)
            out[n++] = ch;
    if (n == 0)
        out[n++] = (char)('a' + draw(4));
    out[n] = '\0';
}

static void random_connect(void)
{
    char channels[5];
    int open = 0;
    for (int i = 0; i < CLIENTS; i++)
        open += world->clients[i].conn != NULL;
    if (open >= 10)
        return;
    some_channels(channels);
    const struct protocol *protocol = draw(2) ? &test_ws : &test_sse;
    struct client *c = draw(2) ? subscriber(protocol, channels) : resumer(protocol, channels, draw(2) ? world->head : draw((uint32_t)world->head + 1));
    c->budget = draw(3) ? SIZE_MAX : draw(20000);
}

/* Comes back with the newest position it was told; between, nothing of its channels may be missing (check_position). */
static void random_return(struct client *c)
{
    struct view views[CHANNELS];
    char channels[CHANNELS + 1];
    uint64_t position = c->position;
    const struct protocol *protocol = c->conn->protocol;
    size_t n = 0;
    check_position(c);
    memcpy(views, c->views, sizeof views);
    for (int i = 0; i < CHANNELS; i++)
        if (views[i].subscribed && views[i].begun && !views[i].replaying)
            channels[n++] = (char)('a' + i);
    channels[n] = '\0';
    client_gone(c);
    if (n == 0 || position == 0)
        return;
    c = resumer(protocol, channels, position);
    for (int i = 0; i < CHANNELS; i++)
        if (c->views[i].subscribed && views[i].have > position)      /* begun with a later number than its position */
            c->views[i].have = position;
}

static void random_subscribe(struct client *c)
{
    char channels[5];
    some_channels(channels);
    for (size_t i = 0; channels[i]; i++)
        if (view_of(c, channels[i])->subscribed)
            return;
    if (draw(2) && c->conn->format == WIRE_WS && c->position)
        subscribe_from(c, channels, FETCH_AFTER, draw((uint32_t)world->head + 1), true);
    else
        subscribe_from(c, channels, FETCH_NOW, 0, false);
}

static void random_unsubscribe(struct client *c)
{
    char name = (char)('a' + draw(4));
    if (view_of(c, name)->subscribed && c->kept.len == 0 && (!c->conn->outbox || view_of(c, name)->begun))
        unsubscribe(c, name);
}

static void random_publish(void)
{
    char name = (char)('a' + draw(5));
    if (world->channels[name - 'a'].n < MESSAGES)
        publish_len(name, draw(30) == 0 ? draw(60000) : draw(400), true);
}

static void step(void)
{
    struct client *c = any_client();
    uint32_t what = draw(100);
    if (what < 40)
        random_publish();
    else if (what < 55)
        hub_run(draw(6));
    else if (what < 70) {
        hub_send_mail();
        if (draw(4))
            edge_mail(world->edge);
    } else if (what < 82)
        edge_turn();
    else if (what < 85)
        random_connect();
    else if (what < 86)
        world->full = draw(4) == 0;
    else if (what < 87) {
        world->now_ms += draw(1500);
        edge_tick(world->edge);
    } else if (what < 88)
        forget((char)('a' + draw(4)), draw(60));
    else if (!c)
        return;
    else if (what < 94)
        client_reads(c, draw(3) ? SIZE_MAX : draw(5000));
    else if (what < 95)
        conn_due_in(c->conn, 1 + (int)draw(3));
    else if (what < 97)
        random_subscribe(c);
    else if (what < 98)
        random_unsubscribe(c);
    else if (what < 99 || c->kept.len)
        c->budget = draw(3000);
    else
        random_return(c);
}

static void run_seed(uint64_t seed)
{
    random_state = seed * 0x9e3779b97f4a7c15u + 1;
    world->config.edge_ring_bytes = 16 * 1024 + draw(2) * 200 * 1024;
    world->config.edge_pool_bytes = world->edge->pool.limit = draw(3) ? 1 << 20 : 40 * 1024;
    world->config.lag_policy = (enum lag_policy[]){ LAG_DISCONNECT, LAG_SKIP, LAG_LATEST, LAG_LATEST }[draw(4)];
    world->config.lag_bytes = draw(4) ? 0 : 5000 + draw(50000);
    if (world->config.lag_policy == LAG_LATEST && draw(3))
        world->config.lag_bytes = 100 + draw(20000);
    config_general_rule(&world->config);
    world->line.max_run = draw(3) ? 0 : 200 + draw(4000);
    for (int i = 0; i < STEPS; i++)
        step();
    world->full = false;
    for (int i = 0; i < CLIENTS; i++)
        if (world->clients[i].conn)
            client_reads(&world->clients[i], SIZE_MAX);
    settle();
    for (int i = 0; i < CLIENTS; i++)
        if (world->clients[i].conn && world->clients[i].conn->conn_state == CONN_OPEN)
            check_complete(&world->clients[i]);
    for (char ch = 'a'; ch < 'e'; ch++)
        publish(ch);
    settle();
    for (int i = 0; i < CLIENTS; i++)
        if (world->clients[i].conn && world->clients[i].conn->conn_state == CONN_OPEN)
            check_complete(&world->clients[i]);
}

static void whatever_happens_nobody_misses_or_repeats_a_message_untold(void **state)
{
    (void)state;
    const char *one = getenv("SEED");
    for (running = one ? strtoull(one, NULL, 10) : 1; running <= SEEDS; running = one ? SEEDS + 1 : running + 1) {
        world_begin();
        run_seed(running);
        world_end();
    }
    assert_true(one || metric_sum(METRIC_slow_conflated) > 100);
}

static int tell_seed(void **state)
{
    (void)state;
    if (running <= SEEDS)
        print_error("SEED=%llu fails\n", (unsigned long long)running);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(whatever_happens_nobody_misses_or_repeats_a_message_untold, tell_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
