/* rights.h — what a connection must be subscribed to on its edge, by its own commands, by orders from outside and by its credentials;
 * and what of that its client has not been told yet.
 *
 *   commands ─listener_speak─┐
 *   errands ──edge_mail──────┼─> has, given, credentials ──notices──> what the client reads must be these, in this order
 *   expiry ───edge_tick──────┘
 *
 * It learns of commands and errands just when the edge does, so it says which commands are refused and why, what an errand does to
 * each connection, and every `subscribed` and `unsubscribed` that nobody has asked for.
 *
 * Where the rules leave freedom: whether a connection has said its first words is the edge's, so ERR_BUSY is right until the client
 * has read them; and what closes in the same turn may have been done or not. */
#pragma once
#include "tests/sim/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct listener;
struct principal;
struct sim;

enum { PERSONS = 3, NOTICES_MAX = 64, LIVES_MAX = 16 };

/* A token. Its holder is nobody, or one of two. */
struct credentials {
    uint8_t person;            /* 0: no user */
    uint16_t grants;           /* names it may subscribe to, and all that these cover; its own among them */
    uint16_t named;            /* those it is subscribed to at once */
    int64_t expires_ms;        /* wall clock; INT64_MAX: never */
};

enum notice { NOTICE_NONE, NOTICE_BEGAN, NOTICE_REMOVED, NOTICE_FORBIDDEN };

struct notices {
    uint8_t at[NOTICES_MAX];   /* enum notice, oldest first */
    size_t  n;
};

struct rights {
    struct credentials credentials;
    uint16_t            has, given;      /* channels; those of them that an operator gave */
    bool               closed;          /* by order */
    bool               unsure;          /* it closed in a turn in which an order may have come before that or not */
    struct notices     notices[NAMES];      /* of each channel */
    int64_t            lives_ms[LIVES_MAX];     /* ends of all credentials it has had */
    size_t             n_lives;
};

const char       *person_name(int person);
uint16_t           person_channel(int person);      /* its bit; 0: none */
struct principal *credentials_principal(const struct sim *sim, const struct credentials *credentials);

void rights_begin(struct listener *listener, const struct credentials *credentials, uint16_t has);
/* The edge runs such a command now. NULL: it is done; else the code of the refusal. */
const char *rights_subscribe(struct listener *listener, uint16_t mask);
const char *rights_unsubscribe(struct listener *listener, uint16_t mask);
/* What the client must be told next of this channel, and what behind it. */
enum notice rights_next(const struct listener *listener, int channel, size_t at);
void        rights_told(struct listener *listener, int channel);

/* Around edge_mail, and behind edge_tick. */
void rights_before_mail(struct sim *sim, int edge);
void rights_after_mail(struct sim *sim, int edge);
void rights_after_tick(struct sim *sim, int edge);
/* Nothing is under way: the client knows all, and the edge has just this. */
void rights_at_rest(const struct listener *listener);
