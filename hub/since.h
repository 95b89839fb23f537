/* since.h — where to begin, as clients write it: `since=` of /sse, /poll, /ws and GET …/messages, and of the frames subscribe and history.
 *
 *   k3q7x2ab.1842            after this position
 *   all                      all that is kept
 *   last                     the newest message of each channel
 *   -20                      the newest 20 of all channels together
 *   2026-11-21T10:08:00Z     what was published from then on (RFC 3339)
 *   10m                      what was published in the last ten minutes (a duration; a bare number is seconds)
 *
 * Only a position can turn out to be incomplete: nothing else ever tells a gap where it begins.
 * Threading  pure functions. Limits: SINCE_COUNT_MAX. */
#pragma once
#include "hub/position.h"

enum { SINCE_COUNT_MAX = 10000 };

enum fetch_from {
    FETCH_NOW,        /* no position: nothing but where "now" is */
    FETCH_AFTER,      /* what came after `after` */
    FETCH_ALL,        /* all that is kept */
    FETCH_LATEST,     /* of each channel only the newest message, if it came after `after` (of a foreign position: in any case);
                         with `whole_after`: of each the newest up to there, and all above */
    FETCH_COUNT,      /* the newest `count` messages of all channels asked for */
    FETCH_TIME,       /* what was published at `time_ms` or later */
};

struct since {
    enum fetch_from from;
    struct position after;
    uint32_t        count;        /* 1 … SINCE_COUNT_MAX */
    int64_t         time_ms;      /* wall clock; in whole seconds, so that those who come together ask for the same */
    bool            by_rule;      /* LATEST: only of channels whose rule says `last`; of others what comes from now on */
    uint64_t        whole_after;  /* of LATEST, by who asks on behind a cut answer: what is above this number it wants all of; 0: the newest alone */
};

/* 0 or ERR_BAD_FIELD. What has the dot of a position is one, if only of an unknown epoch: clients send what they once stored. */
int since_read(struct slice text, int64_t wall_ms, struct since *ret_since);
