/* attendance.h — who is in a channel: the reference of presence (hub/presence.h), kept the slow way.
 *
 *   letters join, leave of the edges ──> how often each user is there ──> joined at the first, left when the grace of the last is over
 *   joined, left ──> what each edge that asks must be mailed ──> what each client that asks reads
 *
 * Joined and left of a user alternate, so how many there were says which one was last: after an odd number he is there. Of a client
 * that asks it is checked that it reads them in turn, no more than there were since it asked, and at rest no fewer than there were
 * since it had read that its channel begins; his own coming is not told. At rest the users are those who are subscribed (rights.h),
 * whatever the edges have reported.
 *
 * Freedom: what is mailed around the beginning of a subscription may be told or not; when mail was lost, `members-changed` says so. */
#pragma once
#include "tests/sim/model.h"
#include "tests/sim/rights.h"

struct listener;
struct members_call;
struct sim;

enum { EXPECTED_MAX = 1024, MAILS = 4 };

/* A letter join or leave, copied before the hub frees its block. */
struct attending {
    uint8_t channel, person, peer;
    bool    counts, asks;
};

struct attendance_model {
    struct sim *sim;
    struct presence_model {
        unsigned there;                   /* attendances that count */
        unsigned events;                  /* joined and left so far: odd, he is there */
        int64_t  since_ms, leaves_ms;     /* wall; mono, when none is there and his grace runs */
    } members[CHANNELS][PERSONS];
    unsigned askers[CHANNELS][PEERS];
    struct expected {
        struct told { uint8_t channel, person; bool joined; } at[EXPECTED_MAX];      /* oldest first */
        size_t n;
        bool   lost;                      /* the edge was told of a loss, once at least */
    } expected[MAILS];                    /* of each edge */
};

/* What a client that asks has been told of one channel. */
struct told_members {
    bool     asks, begins;                /* it has begun; what is on its way to the hub still comes before */
    bool     changed;                     /* `members-changed` was read */
    unsigned when_asked[PERSONS], when_begun[PERSONS], n[PERSONS];
    int8_t   last[PERSONS];               /* 1 joined, -1 left, 0: nothing yet, or no more known */
};

struct attending attendance_of(const struct letter *letter);
void attendance_letter(struct attendance_model *model, uint32_t kind, const struct attending *attending);
void attendance_tick(struct attendance_model *model);                /* with each turn and tick of the hub, before its letters */
void attendance_after_turn(struct attendance_model *model);
void attendance_check_list(const struct attendance_model *model, const struct members_call *call);
void attendance_restart(struct attendance_model *model);
void attendance_mail(struct attendance_model *model, int edge, struct letter *newest);      /* what the edge takes now */
void attendance_at_rest(struct attendance_model *model);

/* Of clients. */
void attendance_asked(struct listener *listener, int channel);
void attendance_begun(struct listener *listener, int channel);      /* of a pattern there is nothing to know */
void attendance_told(struct listener *listener, int channel, const char *user, bool joined);
void attendance_changed(struct listener *listener, int channel);
