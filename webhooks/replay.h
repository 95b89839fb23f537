/* replay.h — something is done to many deliveries that are kept, page by page: sent again, or removed for good.
 *
 *   RUNNING ──page─> settled, some hundred at a time ─> next page … ─> DONE
 *      └─ replay_stop ─> STOPPED       └─ the store cannot: tried again
 *
 * There is no bound on how many: nothing but one page is in memory. What is sent again goes at REPLAY_PER_S at most, so that it does not
 * stand before what happens now.
 *
 * Lifetime   replays_new … replays_free; one that has ended is shown for REPLAY_SHOWN_MS.
 * Threading  the hub's. Limits: REPLAYS_MOST at a time. */
#pragma once
#include "hub/hook.h"

struct clock;
struct dispatcher;
struct event_base;
struct replays;

enum { REPLAYS_MOST = 64, REPLAY_PAGE = 200, REPLAY_PAGE_MS = 100, REPLAY_SHOWN_MS = 60 * 60 * 1000 };
enum replay_action { REPLAY_SEND, REPLAY_REMOVE };
enum replay_state { REPLAY_RUNNING, REPLAY_DONE, REPLAY_STOPPED, REPLAY_STATES };

struct replay_wish {
    enum replay_action action;
    uint64_t           endpoint;        /* 0: all (REMOVE) */
    unsigned           statuses;        /* which of them: a bit for each enum delivery_status */
    int64_t            since_ms, until_ms;      /* of the events; 0: no bound */
    bool               is_quiet;        /* nobody asked for it: it is not shown */
    bool               is_swept;        /* the endpoint is gone: hub_swept() at the end */
    /* NULL: nobody waits. `n`: so many it was done to. */
    void             (*ended)(void *arg, uint64_t n);
    void              *arg;
};

struct replays_setup {
    struct hub         *hub;
    const struct clock *clock;
    struct dispatcher  *dispatcher;
    struct event_base  *base;
    void              (*turn)(void *arg);
    void               *arg;
};
struct replays *replays_new(const struct replays_setup *setup);      /* NULL: no memory */
void            replays_free(struct replays *all);                   /* NULL is fine; a page may be under way only when the hub has had its last turn */

/* 0 and its number, or ERR_BUSY, ERR_MEMORY. */
int  replay_begin(struct replays *all, const struct replay_wish *wish, uint64_t *ret_number);
bool replay_stop(struct replays *all, uint64_t endpoint, uint64_t number);      /* false: there is none */
/* {"id":…,"webhook":…,"status":"running|done|stopped","looked_at":n,"sent":n,"since":…,"until":…}; false: there is none. */
bool replay_print(const struct replays *all, uint64_t endpoint, uint64_t number, struct buf *out);
void replays_print(const struct replays *all, uint64_t endpoint, struct buf *out);      /* those of an endpoint, parted by commas */
