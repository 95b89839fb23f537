#include "tests/sim/operator.h"

#include "hub/access/access.h"
#include "hub/base/err.h"
#include "tests/sim/line.h"
#include "tests/sim/sim.h"

#include <stdlib.h>

void operator_open(struct operator *operator)
{
    mailbox_init(&operator->box, false);
    post_init(&operator->to_hub, hub_mailbox(operator->sim->hub), SIZE_MAX);
    operator->peer = hub_add_peer(operator->sim->hub, &operator->box, false, SIZE_MAX);
    operator->under_way = 0;
}

static void answered(struct call *call)
{
    struct order *order = (struct order *)call;
    struct sim *sim = order->operator->sim;
    sim_trace(sim, "operator: order of kind %d answered %d, done for %zu", (int)order->errand.kind, call->err, errand_done(&order->errand));
    if (!sim->dead)
        sim_check(sim, errand_done(&order->errand) == order->done, "an order was done for %zu connections, its answer says %zu", order->done,
                  errand_done(&order->errand));
    if (call->err == ERR_NOT_FOUND)
        happened(orders_lost);
    errand_answer_fini(&order->errand);
    principal_unref(order->errand.principal);
    free(order);
}

static size_t put_names(struct slice *names, uint16_t mask)
{
    size_t n = 0;
    for (int c = 0; c < NAMES; c++)
        if (mask & 1 << c)
            names[n++] = slice_of(channel_names[c]);
    return n;
}

static uint16_t any(struct sim *sim) { return some_names(sim); }

static uint16_t few(struct sim *sim)
{
    uint16_t mask = any(sim);
    return mask & any(sim);
}

static uint16_t many(struct sim *sim)
{
    uint16_t mask = any(sim);
    return mask | any(sim);
}

static void want_channels(struct sim *sim, struct order *order)
{
    order->errand.kind = ERRAND_CHANNELS;
    order->add = chance(sim, 700) ? few(sim) : 0;
    order->remove = chance(sim, 500) ? few(sim) : 0;
    order->errand.add = order->names;
    order->errand.n_add = put_names(order->names, order->add);
    order->errand.remove = order->names + NAMES;
    order->errand.n_remove = put_names(order->names + NAMES, order->remove);
}

static void want_closed(struct sim *sim, struct order *order)
{
    order->errand.kind = ERRAND_CLOSE;
    order->errand.close_err = ERR_DISCONNECTED;
    order->errand.close_code = (int)one_of(sim, 0, 0, 4002, 4150);
}

/* Of the same user, or sometimes of another; with some of the grants. */
static void want_renewed(struct sim *sim, struct order *order, const struct listener *r)
{
    uint8_t person = chance(sim, 850) ? r->rights.credentials.person : (uint8_t)dice(sim, PERSONS);
    order->errand.kind = ERRAND_TOKEN;
    order->credentials = (struct credentials){
        .person = person, .named = chance(sim, 300) ? few(sim) : 0,
        .expires_ms = chance(sim, 500) ? INT64_MAX : (sim->wall_ms / 1000 + 1 + (int64_t)dice(sim, 10)) * 1000,
    };
    order->credentials.grants = many(sim) | order->credentials.named | person_channel(person);
    order->errand.principal = credentials_principal(sim, &order->credentials);
}

static void send_order(struct operator *operator, struct order *order)
{
    order->operator = operator;
    order->errand.call.letter.kind = CALL_ERRAND;
    order->errand.call.from = operator->peer;
    order->errand.call.owner = operator;
    order->errand.call.answered = answered;
    operator->under_way++;
    sim_trace(operator->sim, "operator: order of kind %d to %lu%s: add %x, remove %x, grants %x", (int)order->errand.kind,
              order->errand.connection, person_name(order->person), order->add, order->remove, order->credentials.grants);
    call_submit(&operator->to_hub, &order->errand.call, sizeof *order);
}

/* Rather one who is there. */
static struct listener *somebody(struct sim *sim)
{
    struct listener *r = NULL;
    for (int tries = 0; tries < 3 && !(r && r->line); tries++)
        r = &sim->listeners[dice(sim, (uint64_t)sim->n_listeners)];
    return r;
}

void operator_act(struct operator *operator)
{
    struct sim *sim = operator->sim;
    struct listener *r = somebody(sim);
    if (!(r->line && r->line->conn) && chance(sim, 900))
        return;
    uint64_t what = dice(sim, 20);
    struct order *order = calloc(1, sizeof *order);
    if (what < 12)
        want_channels(sim, order);
    else if (what < 18)
        want_renewed(sim, order, r);
    else
        want_closed(sim, order);
    if (order->errand.kind != ERRAND_TOKEN && chance(sim, 350)) {
        order->person = (uint8_t)(1 + dice(sim, PERSONS - 1));
        order->errand.user = slice_of(person_name(order->person));
    } else {
        bool is_there = r->line && r->line->conn;
        order->errand.connection = is_there ? r->line->conn->id : (1000000 + dice(sim, 9)) << 8 | dice(sim, 8);
    }
    send_order(operator, order);
}

void operator_flush(struct operator *operator) { post_flush(&operator->to_hub); }

void operator_take(struct operator *operator)
{
    for (struct letter *letter = mailbox_take(&operator->box), *next; letter; letter = next) {
        next = letter->next;
        struct call *call = (struct call *)letter;
        letter_done(letter);
        if (world_settings_read(letter))
            continue;
        operator->under_way--;
        call->answered(call);
    }
}
