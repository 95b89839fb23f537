/* backlog.h — what one member of a room was told, kept in case it has to be told again.
 *
 * All that a member is told has a number, from 1, without holes: its sequence. While the member is away everything is kept for it, up to a
 * bound; beyond that who speaks to it is told that it is busy. While it is there the newest frames are kept too, for a while: a socket that
 * has died takes frames for as long as nobody knows, and who comes back says which number was the last it saw.
 *
 *   seq                   the newest number
 *   lost                  the newest number that is not kept any more (or never was): who saw that one or a later one misses nothing
 *   away_from             what seq was when it went away
 *
 * Lifetime   embedded, zero-filled is empty; backlog_fini. Threading: the hub's.
 * Limits     struct backlog_limits, rooms.queue and its like; `*total` counts the bytes of all backlogs. */
#pragma once
#include "hub/rooms.h"

struct told {
    uint64_t          seq;
    int64_t           at_ms;           /* mono: when it was told, or told again */
    struct room_text *head, *rest;     /* a reference each */
    uint8_t           frame;           /* enum room_frame */
};

struct backlog {
    struct told *ring;                 /* cap is a power of two; NULL: nothing is kept */
    uint32_t     first, n, cap;
    uint32_t     away_n;               /* of those, told since it went away */
    size_t       bytes, away_bytes;
    uint64_t     seq, lost, away_from;
};

struct backlog_limits {
    size_t  count, bytes;
    size_t *total;                     /* of all backlogs */
    size_t  total_max;
};

/* Told to a member that is there: always 0, what finds no room is given up. */
void backlog_told(struct backlog *b, const struct backlog_limits *limits, const struct told *told, uint64_t *ret_seq);
/* To one that is away: 0, ERR_PEER_BUSY, ERR_MEMORY; then it has no number. */
int  backlog_wait(struct backlog *b, const struct backlog_limits *limits, const struct told *told);
/* It has a number, and is not kept. */
void backlog_miss(struct backlog *b);
/* The newest was not told after all. */
void backlog_take_back(struct backlog *b, const struct backlog_limits *limits);
void backlog_away(struct backlog *b);                  /* from now on the member is away */
/* The client has everything up to this number. */
void backlog_seen(struct backlog *b, const struct backlog_limits *limits, uint64_t seq);
/* What was told before this moment is given up. */
void backlog_age(struct backlog *b, const struct backlog_limits *limits, int64_t before_ms);
static inline int64_t backlog_oldest_ms(const struct backlog *b) { return b->n ? b->ring[b->first].at_ms : INT64_MAX; }
static inline struct told *backlog_at(const struct backlog *b, uint32_t i) { return &b->ring[(b->first + i) & (b->cap - 1)]; }
void backlog_fini(struct backlog *b, size_t *total);
