/* load.h — one run of the generator: its connections, one epoll, and what it counts.
 *
 * A mode (one function, listed in load.c) opens peers, publishes, pumps until what it waits for has come, and prints one line of
 * JSON on standard output. Anything unexpected ends the process with a sentence on standard error: a run that lost a message
 * has no figure.
 * Lifetime: one struct load in main, for the whole process; nothing is freed. Threading: one thread. */
#pragma once
#include "peer.h"

struct options {
    const char    *kind_name, *by;                /* ws or sse; http, ws or lines */
    const char    *sub, *pub;     /* HOST:PORT of the public port and of the API */
    const char    *since;         /* last_event_id of subscribers, or NULL */
    const char    *token;         /* that mode accept shows, or NULL */
    const char    *form;          /* names of channels: has one %zu */
    uint64_t       pid;           /* the server whose CPU time counts */
    uint64_t       n;             /* subscribers */
    uint64_t       conns;         /* publishers; of mode accept: connections at a time */
    uint64_t       window;        /* messages under way */
    uint64_t       size;          /* bytes of a payload */
    uint64_t       expect;        /* messages each subscriber must get */
    uint64_t       channels;      /* channels altogether (publish: 0 = one per publisher), channels of each connection (hold), members of each room (rooms) */
    uint64_t       messages, rate;
    bool           subscribed;    /* publish: each channel has a subscriber */
    bool           users;         /* each subscriber is a user of its own */
    bool           peerjs;        /* relay: the server is PeerJS */
    bool           bursts;        /* fanout: o.window messages in one send(), and the next when all have got these */
    bool           tls;
    enum peer_kind kind;          /* of subscribers, from kind_name */
};

struct load {
    struct options     o;
    int                epoll;
    struct peer       *subs, *pubs;
    struct sockaddr_in sub_to, pub_to;
    uint64_t           received, answered;      /* sums over subs and pubs of what they counted; refused ones are in answered */
    uint64_t           subscribed;              /* sum over subs */
    uint64_t           joined, told;            /* likewise, of members of rooms */
    peer_data_fn      *on_data;                 /* looks at each message, or NULL */
    void              *on_data_arg;
};

/* Begun and ended around what is measured. CPU time is that of all threads of the server. */
struct measured {
    uint64_t ns, cpu_ns;
};
struct measured measure_begin(const struct load *l);
struct measured measure_end(const struct load *l, struct measured began);

uint64_t now_ns(void);
_Noreturn void die(const char *what);             /* with errno */
_Noreturn void die_saying(const char *what);

/* One round of whatever there is to read, waiting at most `ms`; false when there was nothing. */
bool load_pump(struct load *l, int ms);
/* The same, and dies saying `what` when 20 s pass without anything. */
void load_must_pump(struct load *l, const char *what);

/* Opens o.n subscribers, at most `at_once` of them not yet subscribed, and waits for all. `channel` may have one %zu for the
 * subscriber's number. */
enum { FEW = 64 };
void load_open_subs(struct load *l, const char *channel, size_t at_once);
void load_watch(struct load *l, struct peer *peer);

/* publishers.c */
void load_open_pubs(struct load *l, size_t n);
/* One publish by `pub`; the payload begins with `text` and is filled up to o.size. Waits (and reads) when the socket is full. */
void load_publish(struct load *l, struct peer *pub, const char *channel, const char *text);
/* n publishes in one send(), as far as the socket takes it; or what has been added so far, each with a text of its own. */
void load_publish_together(struct load *l, struct peer *pub, const char *channel, size_t n);
void load_add_publish(const struct load *l, const struct peer *pub, const char *channel, const char *text);
void load_send_together(struct load *l, struct peer *pub);
/* All of these bytes; reads on while the socket is full. */
void load_send_all(struct load *l, struct peer *peer, const char *at, size_t len);
int  mode_publish(struct load *l);

/* subscribers.c, holders.c */
int mode_fanout(struct load *l);
int mode_latency(struct load *l);
int mode_resume(struct load *l);
int mode_hold(struct load *l);
int mode_members(struct load *l);      /* members.c */
int mode_hooks(struct load *l);        /* hooks.c */
int mode_accept(struct load *l);
/* signals.c */
int mode_relay(struct load *l);
int mode_relay_late(struct load *l);
int mode_rooms(struct load *l);
