/* disk.h — the store port of hub/store.h for webhooks: events and deliveries in real tables of SQLite, in memory, that outlive the hub, and
 * records beside them. It does one thing after the other, when it is told to; it fails when it is broken.
 *
 * After kill -9 it has what it had committed, whether the hub has heard of it or not (store.sync = batch). History is not kept: nobody reads it.
 *
 * Lifetime   disk_init for each seed, disk_attach for each hub. Threading: the simulation's. */
#pragma once
#include "hub/hub.h"
#include "hub/store.h"

enum { DISK_QUEUE = 256, DISK_RECORDS = 64 };

struct disk_record { char key[24]; char *value; size_t len; };

struct disk {
    struct store             port;      /* first */
    struct sqlite3          *conn;
    struct store_deliveries *deliveries;
    struct post              to_hub;
    struct letter           *queue[DISK_QUEUE];      /* groups and reads, oldest first */
    size_t                   n;
    uint64_t                 generation, reserved;
    struct disk_record       records[DISK_RECORDS];  /* of kind webhook */
    size_t                   n_records;
    bool                     broken;
};
extern struct disk disk;

void disk_init(void);
void disk_fini(void);
struct hub_start disk_start(void);                      /* where numbers stand */
void disk_attach(struct mailbox *hub);                  /* answers go there */
bool disk_step(void);                                   /* the oldest that waits; false: nothing does */
void disk_commit_unsaid(void);                          /* likewise, but the hub is never told: of a group only */
/* What stands, now. The answer is the caller's. */
void disk_look(struct delivery_read *read);
