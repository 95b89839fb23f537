/* webhook_id.h — ids of what webhooks have, as people see them.
 *
 *   wh_0190f3c2a4b81d2e     an endpoint: 63 bits
 *   evt_k3q7x2ab_1842       an event: its position, with an underscore because signatures part their fields with dots
 *   dlv_73201               a delivery: its number (hub_event.h), hexadecimal
 *   rp_7                    a replay, of this run of the hub
 *
 * Threading: pure functions. */
#pragma once
#include "hub/base/buf.h"

enum { WEBHOOK_ID_TEXT = 3 + 16 + 1, EVENT_ID_TEXT = 4 + 32, DELIVERY_ID_TEXT = 4 + 16 + 1 };

void     webhook_id_print(uint64_t number, char ret_id[WEBHOOK_ID_TEXT]);
uint64_t webhook_id_read(struct slice id);                                       /* 0: it is none */
size_t   event_id_print(uint64_t epoch, uint64_t number, char ret_id[EVENT_ID_TEXT]);   /* its length */
uint64_t event_id_read(struct slice id, uint64_t *ret_epoch);                    /* 0: it is none, *ret_epoch untouched */
void     delivery_id_print(uint64_t number, char ret_id[DELIVERY_ID_TEXT]);
uint64_t delivery_id_read(struct slice id);                                      /* 0: it is none */
uint64_t replay_id_read(struct slice id);                                        /* 0: it is none */
