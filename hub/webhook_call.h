/* webhook_call.h — what an administrator asks of the webhooks, over the API: the hub hands it to its hook (hook.h), which knows what the
 * documents mean. The API knows routes, statuses and who may; nothing of endpoints.
 *
 * The answer is JSON text; what is wrong is told member by member.
 *
 * Lifetime   the origin's, like any call (call.h). Threading: made on the API's thread, answered on the hub's. */
#pragma once
#include "hub/call.h"

enum webhook_order {
    WEBHOOK_CREATE,          /* document -> text (with its secret), id */
    WEBHOOK_LIST,            /* after, limit -> text: members of an array, more, upto */
    WEBHOOK_SHOW,            /* id -> text, version */
    WEBHOOK_CHANGE,          /* id, document, if_version -> text, version */
    WEBHOOK_DELETE,          /* id: what waits for it is given up */
    WEBHOOK_ROTATE,          /* id, document {secret?, overlap?} -> text (with its secret) */
    WEBHOOK_TEST,            /* id -> text: the event {id, delivery, …}, when it is kept */
    WEBHOOK_REDELIVER,       /* delivery: once more, as a new first attempt; -> text */
    WEBHOOK_REDELIVER_DEAD,  /* id: all its dead letters: a replay of those -> text */
    WEBHOOK_REPLAY,          /* id, document {since?, until?, status?} -> text: a replay */
    WEBHOOK_REPLAYS,         /* id -> text: the replays of it that run or have ended lately */
    WEBHOOK_REPLAY_SHOW,     /* id, replay -> text */
    WEBHOOK_REPLAY_STOP,     /* id, replay -> text */
    WEBHOOK_PURGE_DEAD,      /* id (0: all), delivery (0: all): dead letters go for good -> removed */
    WEBHOOK_ORDERS
};

/* What is wrong with a document: all of it, up to WEBHOOK_PROBLEMS. */
enum { WEBHOOK_PROBLEMS = 8 };
struct webhook_problems {
    size_t n;
    struct { char field[32]; int err; char detail[160]; } found[WEBHOOK_PROBLEMS];
};

/* ERR_NOT_FOUND, ERR_TOO_MANY_WEBHOOKS, ERR_VERSION_CHANGED (if_version), ERR_BAD_FIELD (problems say which), ERR_DELIVERY_PENDING (what is not
 * over cannot be sent again), ERR_STORE_FAILED, ERR_BUSY, ERR_MEMORY, ERR_DRAINING. */
struct webhook_call {
    struct call        call;
    enum webhook_order order;
    uint64_t           id;            /* of the endpoint; 0: all, where that is said */
    uint64_t           delivery;      /* its number (hub_event.h) */
    uint64_t           replay;
    struct slice       document;      /* JSON, as it was sent; checked to be an object */
    uint32_t           if_version;    /* 0: any */
    uint64_t           after;         /* lists: endpoints above this number */
    size_t             limit;
    /* answer */
    struct buf         text;          /* the origin's to free */
    uint32_t           version;
    uint64_t           removed;
    uint64_t           upto;
    bool               more, durable;
    struct webhook_problems problems; /* with ERR_BAD_FIELD and its like */
};
