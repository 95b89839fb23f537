/* endpoints.h — the endpoints there are: a table in memory, records in the store (hub/records.h), and which of them an event is for.
 *
 *   what is asked (endpoint_ask) ─> endpoints_change ─> prepare: another endpoint, or what is wrong ─> record kept ─> apply: in force, told to
 *                                                                                                        └> ask->ended, once
 * Lifetime   endpoints_new before the hub's first turn, endpoints_free after its last.
 * Threading  the hub's.
 * Limits     webhooks.endpoints of them; a record ENDPOINT_RECORD_MAX. */
#pragma once
#include "hub/hook.h"
#include "hub/webhook_call.h"
#include "webhooks/dispatcher.h"
#include "webhooks/endpoint.h"

struct endpoints;

struct endpoints_setup {
    struct hub          *hub;
    const struct clock  *clock;
    const struct config *config;
    struct dispatcher   *dispatcher;
    /* An endpoint was removed: what is kept of it is for nobody any more. */
    void               (*removed)(void *arg, uint64_t endpoint);
    void                *arg;
};
struct endpoints *endpoints_new(const struct endpoints_setup *setup);      /* NULL: no memory */
void endpoints_free(struct endpoints *all);                                /* NULL is fine */
void endpoints_reconfigure(struct endpoints *all, const struct config *config);

const struct endpoint *endpoints_find(const struct endpoints *all, uint64_t number);      /* borrowed; NULL: it is not there */
/* Endpoints above this number, in order: how many of at most `most`. */
size_t endpoints_after(const struct endpoints *all, uint64_t after, size_t most, const struct endpoint **ret_endpoints);

enum endpoint_change { ENDPOINT_CREATE, ENDPOINT_CHANGE, ENDPOINT_ROTATE, ENDPOINT_MARK, ENDPOINT_DELETE };

struct endpoint_ask {
    enum endpoint_change   change;
    uint64_t               number;           /* CREATE: a new one (endpoint_number_new) */
    struct slice           document;         /* CREATE, CHANGE; ROTATE: the secret, as text without quotes */
    int64_t                overlap_ms;       /* ROTATE */
    uint32_t               if_version;       /* 0: any */
    enum endpoint_disabled disabled;         /* MARK */
    int64_t                failing_since_s;  /* MARK */
    /* Called once, when it is in force (err 0) or has come to nothing; the ask is the asker's again. `endpoint`: as it is now; NULL: removed. */
    void                 (*ended)(struct endpoint_ask *ask, int err, const struct endpoint *endpoint, bool durable);
    void                  *owner;
    struct webhook_problems problems;        /* answer, with an error */
};
void     endpoints_change(struct endpoints *all, struct endpoint_ask *ask);
uint64_t endpoint_number_new(int64_t wall_ms);      /* later ones are greater; 0: the kernel has no randomness */

/* Of hook.h. */
size_t   endpoints_targets(struct endpoints *all, enum event_type type, const struct msg *m, struct event_target *ret_targets);
bool     endpoints_want(const struct endpoints *all, enum event_type type);
