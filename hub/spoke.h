/* spoke.h — port: what is plugged into the hub process beside the hub thread: the public port, the API, webhooks, Redis, later
 * signaling. hub/main.c lists them; hub/serve.c takes all of them through the same life:
 *
 *   open (bind, register at the hub; nothing runs, nobody is let in) ─> start ─> … serving … ─> drain ─> done? ─> stop (join) ─> free
 *
 * All functions are called on the hub thread. open is called in the order of the list; when one fails, those opened before
 * it are stopped and the process ends: nothing is left half-started. */
#pragma once
#include "hub/base/buf.h"

#include <stdbool.h>

struct authority;
struct clock;
struct config;
struct event_base;
struct http_out;
struct hub;
struct self;

struct serving {                       /* what a spoke is given; lives as long as the process serves */
    const struct config *config;
    const struct clock  *clock;
    struct hub          *hub;
    const struct self   *self;         /* what this hub is called (self.h) */
    struct authority    *authority;    /* checks credentials */
    struct event_base   *base;         /* the hub thread's loop */
    struct http_out     *http_out;     /* requests to other servers (http_out.h): set by the spoke that makes them, which is listed first */
    /* After hub_send() on the hub thread, once for all that was sent: a turn of the hub like any other, which also starts the
     * spokes when the hub has become ready. Not inside a call of the hub, nor of a spoke's start. */
    void               (*turn)(struct serving *serving);
    char                 api[160];     /* where the API listens, "http://127.0.0.1:8001" or "unix:/path": set when its spoke is opened */
    /* Appends where the spoke of this name listens, as the ready line says it; nothing when it does not, or is not open yet. */
    void               (*address)(const struct serving *serving, const char *spoke, struct buf *out);
    char                 why[256];     /* open failed: one sentence for the operator */
};

struct spoke {
    const char *name;                  /* "public": what the ready line calls it */
    bool        outlasts;              /* drains when those without this are done: it tells of the drain (health, metrics) */
    /* 0 and *ret_self; or ERR_… and serving->why. */
    int  (*open)(struct serving *serving, void **ret_self);
    int  (*start)(void *self);         /* threads begin; 0 or ERR_… */
    /* New settings (SIGHUP), for what it does on the hub thread; its other threads get LETTER_CONFIG. NULL: nothing to do. */
    void (*reload)(void *self, const struct config *config);
    /* Where it listens, for the ready line. NULL: nowhere. */
    void (*address)(const void *self, struct buf *out);
    /* With --dev: lines that tell what to try first. NULL: none. */
    void (*hint)(const void *self, struct buf *out);
    void (*drain)(void *self);         /* take nothing new, end what there is; calls to the hub are still answered */
    bool (*done)(const void *self);    /* after drain: nothing is left */
    void (*stop)(void *self);          /* end now, whatever is left, and join the threads. Also without start. */
    void (*free)(void *self);          /* after the hub's last turn: what it registered at the hub may go */
};
