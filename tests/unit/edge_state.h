/* edge_state.h — what an edge world (edge_world.h) is made of: the hub's channels, the clients, and what each may still expect. */
#pragma once
#define _GNU_SOURCE      /* memmem */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/access/authority.h"
#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/config/config.h"
#include "hub/hub.h"
#include "hub/metrics.h"
#include "transports/edge/batch.h"
#include "transports/edge/catchup.h"
#include "transports/edge/conn.h"
#include "transports/edge/edge.h"
#include "transports/edge/feed.h"

#include <stdio.h>
#include <stdlib.h>

enum { CHANNELS = 8, CLIENTS = 24, MESSAGES = 4000, EPOCH = 7 };

struct channel_model {
    struct msg  *msgs[MESSAGES];
    uint32_t     n;
    uint64_t     dropped;          /* history gave up everything up to here */
    uint64_t     last;
    atomic_uint *subscribers;      /* NULL: not watched */
};

/* What a client may still expect of one channel. */
struct view {
    bool     subscribed, begun, replaying, gap;
    bool     conflated;            /* older ones of it were left out, a newer one follows */
    uint64_t have;                 /* everything up to here was delivered, or is not for it */
};

struct client {
    struct conn *conn;             /* NULL: not connected */
    size_t       budget;           /* bytes its line takes before it chokes */
    bool         wants, finished, paused, deaf;
    struct buf   kept, in, log;    /* log: "a5 a5r subN:a:4:1 gap:a:7 …" */
    size_t       parsed;
    uint32_t     sends;
    uint64_t     position;         /* newest position it was told */
    bool         placed;           /* it was told one */
    int          bye;              /* error of its farewell */
    int64_t      retry_ms;
    struct view  views[CHANNELS];
};

struct world {
    struct config        config;
    struct clock         clock;
    int64_t              now_ms;
    struct authority    *authority;
    struct edge         *edge;
    struct line_ops      line;
    /* the hub */
    struct mailbox       box;
    struct post          to_edge;
    struct letter       *queue, **queue_end;
    struct letter        loss;                          /* LETTER_LOST is the hub's own memory */
    struct channel_model channels[CHANNELS];
    uint64_t             head;
    bool                 resumable, lost, full;
    int                  fail;                          /* the next call of kind fail_kind is answered with this error */
    uint32_t             fail_kind;
    uint32_t             calls[CALL_KINDS];             /* how many of each kind were run */
    struct buf           order;                         /* their kinds, one letter each: W U F H L */
    struct client        clients[CLIENTS];
    size_t               most_batch_bytes;              /* of the edge, whenever something was sent */
};

static struct world *world;
