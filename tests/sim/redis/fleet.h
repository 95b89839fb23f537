/* fleet.h — some hubs with Redis as their engine, their edges and clients in one thread, under a dice that one seed decides.
 *
 *   writer.c ──publish──> hubs ──redis/──> a real redis-server ──> hubs ──> edges ──bytes──> reader.c
 *                                              │                                                ^
 *                                              └──> truth.c: what it has taken, in order ───────┘ compares
 *
 * The code of hub/, redis/ and transports/ is the real one, and so is the server: its answers come when they come, so a seed gives the
 * same steps each time and about the same schedule. What hubs and edges take for time is the simulation's; what Redis and the links do
 * with time is real, so nothing here waits for ages (tests/unit has those).
 *
 * Faults at random: connections of the server are killed, its scripts and its data are flushed, it refuses to write, hubs are killed and
 * begin anew, clients go and come back at another hub. */
#pragma once
#include "hub/base/buf.h"
#include "hub/base/clock.h"
#include "hub/config/config.h"
#include "hub/config/redis_url.h"
#include "hub/hub.h"
#include "hub/msg.h"
#include "hub/position.h"
#include "hub/self.h"
#include "hub/spoke.h"
#include "tests/sim/numbers.h"
#include "transports/edge/conn.h"
#include "transports/edge/edge.h"

#include <event2/event.h>

enum { HUBS_MAX = 3, EDGES = 2, READERS_MAX = 6, CHANNELS = 6, OFF = CHANNELS - 1, PATTERNS = 2, NAMES = CHANNELS + PATTERNS, EPOCHS_MAX = 64 };

extern const char *const names[NAMES];            /* channels, OFF without history, then patterns over them */
bool name_matches(int name, int channel);

struct fleet;

/* ---- truth.c: what Redis has taken, seen by a subscriber of the simulation's own ---- */

struct fact { uint64_t seq; uint32_t tag; uint8_t channel; };

struct epoch {
    uint64_t     epoch, head;                     /* head: its newest number, also one without a message */
    struct fact *facts;                           /* in order of number */
    size_t       n, cap;
};

void truth_begin(struct fleet *fleet);
void truth_end(struct fleet *fleet);
/* Everything that Redis has done so far is known. */
void truth_learn(struct fleet *fleet);
const struct epoch *truth_of(const struct fleet *fleet, uint64_t number);      /* NULL: there is none */
const struct fact  *truth_find(const struct epoch *epoch, uint64_t seq);
/* The first of what this name stands for with a number above `after` and at most `upto`; NULL: none. */
const struct fact  *truth_next(const struct epoch *epoch, int name, uint64_t after, uint64_t upto);
/* History cannot have it any more: so many have come behind it. */
bool truth_gave_up(const struct fleet *fleet, const struct epoch *epoch, const struct fact *fact);
unsigned truth_count(const struct fleet *fleet, uint32_t tag, uint64_t *ret_epoch, uint64_t *ret_seq, int *ret_channel);
/* The server's side: what an administrator may say to it. */
void server_say(struct fleet *fleet, const char *words);
void server_kill_connection(struct fleet *fleet);

/* ---- node.c: a hub with its edges ---- */

struct node {
    struct fleet      *fleet;
    struct serving     serving;
    struct self        self;
    struct authority  *authority;
    struct hub        *hub;
    void              *spoke;
    struct edge       *edges[EDGES];
    int64_t            ticked_ms;
    struct mailbox     box;                       /* the writer's */
    struct post        to_hub;
    uint8_t            peer;
    unsigned           under_way;                 /* calls of the writer */
};

void node_begin(struct fleet *fleet, struct node *node);
void node_end(struct node *node);                 /* as by kill -9, for those outside */
void node_turn(struct node *node);
void fleet_turn_loop(struct fleet *fleet);        /* what the sockets of all hubs have brought */
void fleet_wait(struct fleet *fleet, int64_t most_ms);      /* until they bring something, and that */
void fleet_patience_ends(evutil_socket_t fd, short what, void *arg);      /* of fleet->patience */
bool nodes_are_live(const struct fleet *fleet);

/* ---- writer.c ---- */

enum outcome { ASKED, TAKEN, REFUSED, UNKNOWN };

struct write {
    uint8_t        channel, outcome;
    bool           keyed;                         /* with a key: perhaps repeated */
    struct position position;                     /* of TAKEN */
};

void writer_publish(struct fleet *fleet, struct node *node, int channel);
void writer_again(struct fleet *fleet, struct node *node);       /* one with a key that has an outcome, once more */
void writer_take(struct node *node);
void writer_check(struct fleet *fleet);           /* against the truth */

/* ---- reader.c: an EventSource that comes back with what it has stored ---- */

struct client {
    struct fleet   *fleet;
    int             number;
    uint16_t        wanted;                       /* names */
    struct position stored;
    bool            has_position;
    /* this connection */
    struct conn    *conn;                         /* NULL: it is gone */
    bool            connected, begun, resumes;
    struct buf      kept, net, in;
    size_t          cap;
    bool            wants_writable, finishing;
    struct position asked, last;                  /* last: told; epoch 0: none */
    uint64_t        checked[NAMES];               /* everything up to here is accounted for */
    uint64_t        excused[NAMES];               /* a gap was told: what is missing up to here, and gone, is the gap's */
    struct numbers  read;
};

void reader_begin(struct fleet *fleet, int number);
void reader_end(struct client *r);
void reader_connect(struct client *r, struct node *node);
void reader_cut(struct client *r);
void reader_move(struct client *r);               /* its line, in the turn of its edge */
void reader_read(struct client *r, size_t appetite);
bool reader_has(const struct client *r, int channel, uint64_t seq);      /* or does not want it */
extern const struct line_ops reader_line;

/* ---- main.c ---- */

struct fleet {
    struct clock     clock;                       /* first; by hand */
    int64_t          mono_ms, wall_ms;
    uint64_t         seed, dice;
    unsigned         step;
    bool             tracing, settling;
    struct config    config;
    struct redis_url url;
    char             prefix[32];
    const char      *socket;
    struct event_base *base;
    struct event    *patience;                    /* ends fleet_wait when nothing comes */
    struct line_ops  line;
    struct node      nodes[HUBS_MAX];
    int              n_nodes;
    struct client    readers[READERS_MAX];
    int              n_readers;
    struct redisContext *say, *hear;              /* the simulation's own connections */
    uint64_t         token;
    struct epoch     epochs[EPOCHS_MAX];
    size_t           n_epochs;
    struct write    *writes;                      /* by tag */
    size_t           n_writes, cap_writes;
    bool             refusing;                    /* it has been told to refuse writes */
    unsigned         flushes;
};

uint64_t dice(struct fleet *fleet, uint64_t below);
bool     chance(struct fleet *fleet, unsigned per_thousand);
void     fleet_trace(const struct fleet *fleet, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void fleet_fail(const struct fleet *fleet, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define fleet_check(fleet, condition, ...) do { if (!(condition)) fleet_fail(fleet, __VA_ARGS__); } while (0)

enum happening {
#define COUNT(name, what) HAPPENED_##name,
#include "tests/sim/redis/count.def"
#undef COUNT
    HAPPENINGS
};
extern uint64_t happenings[HAPPENINGS];
#define happened(name) (happenings[HAPPENED_##name]++)
