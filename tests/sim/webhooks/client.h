/* client.h — who publishes and tells events, and an administrator who makes, changes and removes endpoints, sends again, replays and purges.
 *
 * Threading: the simulation's. */
#pragma once
#include <stdbool.h>

void client_begin(void);            /* of a seed */
void client_act(void);              /* something at random */
bool client_take(void);             /* answers that have come; false: none have */
bool client_idle(void);             /* nothing is under way */
void client_publish(int channel);
void client_heal(void);             /* every endpoint is enabled, not paused, and its receiver good; what is blocked goes on */
void client_compare(void);          /* what endpoints and replays show is as it should be */
void client_killed(void);
