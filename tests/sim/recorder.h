/* recorder.h — somebody who changes administrative records (hub/records.h), and knows what must have come of it.
 *
 * Its records are numbers under a few keys. A change that was answered with 0 is there from then on, also after a power loss
 * right behind the answer and in every sync mode; one that was refused or failed never happened; one that had no answer when the
 * hub died has happened or not. */
#pragma once
#include "hub/records.h"

enum { RECORDS = 5 };

struct sim;

struct recorder {
    struct sim    *sim;
    struct mailbox box;
    struct post    to_hub;
    uint8_t        peer;
    unsigned       under_way;           /* calls */
    uint64_t       numbers;             /* given so far: every change has one of its own */
    uint64_t       in_force[RECORDS];   /* 0: there is no such record */
    bool           changing[RECORDS];   /* prepared, and not applied or abandoned */
    uint64_t       becoming[RECORDS];   /* what it changes to */
    uint64_t       loaded[RECORDS];     /* what the hub was given at its start */
};

/* After hub_new and before anything else: registers, loads what the disk has and compares. */
void recorder_open(struct recorder *recorder);
void recorder_change(struct recorder *recorder);
void recorder_flush(struct recorder *recorder);
void recorder_take(struct recorder *recorder);
