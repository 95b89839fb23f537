/* beginning.h — where a listener that comes without a position wants to begin (hub/since.h), and what of each channel it must then get.
 *
 *   all, -N, a time    from `ready` or `subscribed` on everything; what lies behind that and is missing was given up by then
 *   last               of each channel the newest at some moment between asking and `ready`, and all that came after; it may get more,
 *                      when the answer of the hub was cut
 *
 * What the hub answers to each form is compared with the model (model.c, fetches); here it is what arrives. */
#pragma once
#include "hub/since.h"
#include "tests/sim/model.h"

struct listener;
struct part;
struct sim;

struct beginning {
    enum fetch_from from;
    struct since    since;             /* what it means */
    char            text[40];          /* as it is written */
};

/* One of the forms, but for a position. */
struct beginning beginning_choose(struct sim *sim);
/* It has been read that this name (its number is `c`), and those of `mask` with it, begin behind `p`. */
void beginning_told(struct listener *r, int c, uint16_t mask, const struct beginning *beginning, struct position p);
/* It began with the newest message of each channel, and this one need not be among those and what came after them. */
bool beginning_excuses(const struct listener *r, const struct part *part, const struct model_msg *m);
