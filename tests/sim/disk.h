/* disk.h — the store port of hub/store.h on a disk that exists in memory: it commits when it is told to, fails when it is
 * told to, and after a crash has what store.sync promises (EXACT.md 3, 4, 8).
 *
 *   off, batch   committed = in the kernel: survives kill -9; a power loss goes back to what was synced last
 *   each         synced before it is answered, and so is what has records in every mode
 *
 * It also checks what the hub asks of it: at most two groups, no row that history still needs is trimmed, the floor covers
 * every channel whose last row went. */
#pragma once
#include "hub/store.h"
#include "tests/sim/model.h"

struct sim;

enum { DISK_RECORDS = 8 };

/* What a disk has. Rows carry a reference each. */
struct disk_image {
    struct msg **rows;
    size_t       n, cap;
    uint64_t     epoch, reserved, floor, trim;
    struct disk_record { char kind[16], key[8], value[24]; } records[DISK_RECORDS];
    size_t       n_records;
    uint64_t     purged[CHANNELS];       /* no row of the channel up to this number is given any more; 0: none */
    struct buf   keeping;                /* hub/keeping.h */
    struct idempotency_record *keys;     /* in order of number */
    size_t       n_keys, cap_keys;
};

struct disk {
    struct store        port;            /* first */
    struct sim         *sim;
    struct disk_image   committed, synced;
    struct store_group *queue[2];        /* submitted and not answered, oldest first */
    size_t              n_queue;
    uint64_t            submitted;       /* how many groups there were */
    uint64_t            generation;
    uint64_t            epochs;          /* how many there were */
    struct post         to_hub;
    bool                broken;          /* transactions fail */
    uint64_t            trimmed[CHANNELS];   /* the highest number of each channel that was trimmed in this epoch */
    uint64_t            mortal[CHANNELS];    /* likewise, of those with a ttl that had not ended; when it does */
    int64_t             mortal_ends_ms[CHANNELS];
    bool                lossy_keys;      /* with sync off: a failed group had keys of acknowledged messages */
    bool                lossy;           /* with sync off: acknowledged rows are not here, no stop is clean */
};

void disk_init(struct disk *disk, struct sim *sim);
void disk_fini(struct disk *disk);
/* One transaction of all that waits, or of the oldest group only, answered; or failed, when it is broken. */
void disk_turn(struct disk *disk);
/* What waits is committed, but nobody is told. */
void disk_commit_unsaid(struct disk *disk);
void disk_sync(struct disk *disk);
/* The machine is gone and back. Groups that wait are answered to nobody that counts: the old hub must be taken apart after. */
void disk_crash(struct disk *disk, bool power);
/* What store_open and store_load would say; the rows stay the disk's. True: the epoch is the same. */
bool disk_open(struct disk *disk, bool clean, bool power, struct hub_start *ret_start);
