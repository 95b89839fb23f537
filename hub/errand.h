/* errand.h — a question or an order to connections: which there are, what one is, close it, subscribe it, give it a new token.
 *
 * Connections live on edges and are touched on their edge's thread only. So an errand goes out to the edges in parts and is
 * answered when all parts are back:
 *
 *   API: errand_call ──> hub ──part──> edge: does it for its connections, fills the part ──> hub: the last one is back ──> API: answered
 *                          └──part──> edge … ────────────────────────────────────────────────^
 *
 * One connection is asked for by its id, whose low 8 bits are the number of its edge (conn_name): then there is one part. An edge
 * that is about to end has said so (CALL_LEAVE) and is not asked any more; what was mailed to it before, it still does.
 * The hub has errands of its own too (hub_errand): their answered() runs on the hub thread.
 *
 * With other nodes (struct elsewhere, redis/) an errand of a peer's is done there too, or only there when the id says so; the answer has
 * their parts behind those of the edges, and says which nodes did not answer. What is waited for there holds up nothing here.
 *
 * Lifetime   the errand belongs to who asks and is not changed while it is under way, so edges read it where it is. The parts are
 *            the hub's until the answer, then the asker's: errand_answer_fini().
 * Threading  the asker's thread before and after; a part belongs to whose mail it is in.
 * Limits     ERRANDS_AT_ONCE are under way, the others wait in order; the text of a part of a list ends at ERRAND_PART_BYTES. No
 *            memory for the parts: ERR_MEMORY, nothing was done. No memory on an edge: its part says so. Of each other node a part of
 *            ERRAND_PART_BYTES is in the answer at most. */
#pragma once
#include "hub/base/list.h"
#include "hub/call.h"
#include "hub/connection_id.h"

struct principal;

enum { ERRANDS_AT_ONCE = 8, ERRAND_PART_BYTES = 1024 * 1024, CLOSE_REASON_MAX = 120 };

enum errand_kind {
    ERRAND_LIST,         /* a page of connections, by id */
    ERRAND_SHOW,         /* one, with all its channels */
    ERRAND_CLOSE,
    ERRAND_CHANNELS,     /* subscribe, unsubscribe */
    ERRAND_RECHECK,      /* close those whose credentials have been taken back (authority_admits) */
    ERRAND_TOKEN,        /* go on with other credentials of the same user */
};

struct errand_call {
    struct call         call;
    enum errand_kind    kind;
    /* which connections: those that fit all that is given */
    uint64_t            connection;      /* 0: not asked for by id */
    uint64_t            node;            /* with `connection`: whose it is (hub_node) */
    struct slice        user;            /* empty: any */
    struct slice        channel;         /* subscribed to it, or to a pattern that matches it; empty: to any, or none. A pattern: to just that */
    uint64_t            after, after_node;      /* LIST: ids greater than this, by number and then by node */
    size_t              limit;           /* LIST: 1 … 1,000 */
    int                 close_err;       /* CLOSE: why */
    int                 close_code;      /* CLOSE: 4000–4199, or 0: that of close_err */
    struct slice        reason;          /* CLOSE: for people, at most CLOSE_REASON_MAX bytes of UTF-8; empty: the text of close_err */
    const struct slice *add, *remove;    /* CHANNELS: valid names */
    size_t              n_add, n_remove;
    struct principal   *principal;       /* TOKEN: borrowed */
    struct slice        credential;      /* TOKEN: what it was made of, for another node */
    /* answer; call.err is ERR_NOT_FOUND (asked for by id), ERR_MEMORY, or what a single connection answered */
    struct errand_part *parts;           /* of edges here; errand_part_at has all */
    size_t              n_parts;
    struct nodes_missing missing;
};

/* What one edge does of it, or another node. */
struct errand_found { uint64_t id; size_t end; };      /* of a list: a connection, and where its text ends */
struct errand_part {
    struct letter        letter;         /* LETTER_ERRAND, there and back */
    struct errand       *under_way;      /* the hub's */
    const struct errand_call *errand;
    uint64_t             node;           /* whose it is */
    int                  err;            /* asked for by id: why it was not done; else ERR_MEMORY */
    size_t               n;              /* connections that it was done for */
    size_t               n_refused;      /* CHANNELS: and those it was not */
    struct buf           text;           /* LIST, SHOW: JSON objects, one behind the other; CHANNELS: who refused, likewise, but with commas */
    struct errand_found *found;          /* LIST: by id; malloc'ed */
    size_t               n_found;
    bool                 more;           /* LIST: there are more behind the last */
};

/* All parts of the answer, totals of it, and its memory given back. */
size_t errand_n_parts(const struct errand_call *call);
const struct errand_part *errand_part_at(const struct errand_call *call, size_t i);
size_t errand_done(const struct errand_call *call);
size_t errand_refused(const struct errand_call *call);
void   errand_answer_fini(struct errand_call *call);
/* The next connection of a list, by id: its text; NULL: the page ends here, and *ret_more says whether there is another one. Begin with
 * zeroed `at` of errand_n_parts entries. The part that it is in. */
const struct errand_part *errand_list_next(const struct errand_call *call, size_t *at, struct slice *ret_text, uint64_t *ret_id, bool *ret_more);

struct hub;
/* Hub thread: an errand of the hub's own. */
void hub_errand(struct hub *hub, struct errand_call *call);
/* Hub thread: credentials were taken back, so every edge looks at all its connections again. While one such errand is out, one more
 * is enough for whatever is taken back meanwhile. */
void hub_recheck(struct hub *hub);
/* One that found no memory is still to be done: a turn does it. */
bool hub_wants_recheck(const struct hub *hub);

/* ---- port: connections of other nodes ---- */

struct errand;
struct elsewhere {
    uint64_t node;      /* this one's number: part of the ids of its connections */
    /* Has it done on call->node, of a connection, or on all other nodes. 0: errand_elsewhere will be told, never from inside. ERR_BUSY, ERR_MEMORY:
     * it will not; ERR_REDIS_AWAY: nor will it, and call->missing says of whom. */
    int    (*run)(struct elsewhere *elsewhere, struct errand *errand, struct errand_call *call);
};
/* Before edges and threads begin; outlives them. */
void     hub_use_elsewhere(struct hub *hub, struct elsewhere *elsewhere);
uint64_t hub_node(const struct hub *hub);      /* 0: it is the only one */
/* What the others did: malloc'ed parts, which it takes over. err: of one connection, and why it was not done. */
void     errand_elsewhere(struct hub *hub, struct errand *errand, struct errand_part *parts, size_t n_parts, const struct nodes_missing *missing, int err);
