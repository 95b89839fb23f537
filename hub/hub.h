/* hub.h — the core: channels, numbers, history, who watches what. One thread, no locks, no sockets.
 *
 * All that happens to it comes as letters; hub_turn() takes what has come, runs it and sends what came of it. A loop
 * (hub/serve.c) calls it when the mailbox is readable; simulations call it by hand.
 *
 *   calls in ─> hub_turn ─> publish.c: number, order, engine ─> history.c: kept ─> watch.c: letters to edges, answer to the publisher
 *
 * Lifetime   hub_new in the composition root; peers are added before any thread starts; freed after all threads ended.
 * Threading  hub thread only, but hub_mailbox() may be posted to from any.
 * Limits     history.* (kept messages), store.queue_bytes (publishes under way), edge.mail_bytes (mail to each edge). */
#pragma once
#include "hub/call.h"

struct authority;
struct clock;
struct config;
struct http_out;
struct self;
struct store;

/* Where numbers stand when the hub begins. */
struct hub_start {
    uint64_t epoch;
    uint64_t next;        /* first number to give: everything below is over */
    uint64_t reserved;    /* numbers below this may be given without asking the store */
    uint64_t floor;       /* EXACT.md 6 */
    struct slice keeping; /* of keeping.h; valid until the first turn */
};

/* `store` NULL: in memory only. The config must outlive the hub. */
struct hub *hub_new(const struct config *config, const struct clock *clock, struct store *store, struct hub_start start);
void        hub_free(struct hub *hub);       /* NULL is fine; what is under way is answered to nobody */

/* Of a hub without a store: one that forgets (store.h), for events. Before the first turn; outlives the hub's last. */
void        hub_use_memory(struct hub *hub, struct store *store);

/* A message that the store kept, in order of number, before the first turn. Takes no reference of the caller's. */
int  hub_restore(struct hub *hub, struct msg *m);

/* An idempotency key that the store kept, in order of number, before the first turn and after the messages. */
int  hub_restore_key(struct hub *hub, const struct idempotency_record *record);

/* How many entries of the log a fetch over patterns looks at before others have their turn. The simulation sets few, so that such
 * fetches come in pieces there too. */
void hub_look_at(struct hub *hub, size_t entries);

/* A purge that the store remembers, before the first turn and after the messages. */
int  hub_restore_purge(struct hub *hub, struct slice channel, uint64_t upto);

/* What it is called, when it is asked which nodes there are. */
void hub_use_self(struct hub *hub, const struct self *self);

struct mailbox *hub_mailbox(struct hub *hub);
/* A thread that will send calls: its mailbox gets the answers. Returns its number for call.from (0 …). Edges also get
 * messages, at most mail_bytes of them under way. */
uint8_t hub_add_peer(struct hub *hub, struct mailbox *box, bool is_edge, size_t mail_bytes);
/* A letter of the caller's own to a peer (sockets, drain, stop), in order with everything else the hub sends it. */
void hub_send(struct hub *hub, uint8_t peer, struct letter *letter);

void    hub_turn(struct hub *hub);
/* Milliseconds on the mono clock when hub_tick wants to run (history ages); INT64_MAX: nothing waits. */
int64_t hub_due_ms(const struct hub *hub);
void    hub_tick(struct hub *hub);
/* Numbers are there to be given: false only until the store has reserved the first block. */
bool    hub_can_publish(const struct hub *hub);
/* New settings from now on, here and (by LETTER_CONFIG) at every peer. The snapshot must outlive the hub. */
void    hub_reconfigure(struct hub *hub, const struct config *config);
/* From now on publishes are refused with ERR_DRAINING. True from hub_idle() when none is under way any more. */
void    hub_drain(struct hub *hub);
bool    hub_idle(const struct hub *hub);
/* From now on the hub answers CALL_KEYS, and keeps the authority's keys as fresh as tokens.jwks is (key_fetcher.h); both must
 * outlive it. Before the threads start; 0 or ERR_MEMORY. */
int     hub_fetch_keys(struct hub *hub, struct http_out *http_out, struct authority *authority);
int64_t hub_keys_due_ms(const struct hub *hub);    /* like hub_due_ms, for hub_keys_tick; a turn must follow that */
void    hub_keys_tick(struct hub *hub);
struct position hub_head(const struct hub *hub);   /* completed up to here */
