/* operator.h — somebody with an administrator's key: gives connections channels and takes them away, closes them, hands them other
 * credentials, by the errands that the API sends (hub/errand.h). What must come of each order is rights.h's. */
#pragma once
#include "hub/errand.h"
#include "tests/sim/model.h"
#include "tests/sim/rights.h"

struct operator {
    struct sim    *sim;
    struct mailbox box;
    struct post    to_hub;
    uint8_t        peer;
    unsigned       under_way;      /* calls */
};

struct order {
    struct errand_call errand;     /* first */
    struct operator   *operator;
    uint8_t            person;     /* of an order to a user's connections */
    uint16_t            add, remove;
    struct slice       names[2 * NAMES];
    struct credentials credentials;
    size_t             done;       /* connections, as the reference has seen it */
};

void operator_open(struct operator *operator);      /* to a new hub */
void operator_act(struct operator *operator);
void operator_flush(struct operator *operator);
void operator_take(struct operator *operator);
