/* writer.h — the backends: publishes and fetches through a mailbox of their own, as the API thread does. */
#pragma once
#include "hub/base/mail.h"
#include "hub/msg.h"

struct sim;

struct writer {
    struct sim    *sim;
    struct mailbox box;
    struct post    to_hub;
    uint8_t        peer;
    uint32_t       tags;           /* the last one given */
    unsigned       under_way;      /* calls */
};

void writer_open(struct writer *writer);       /* to a new hub */
void writer_publish(struct writer *writer);
void writer_fetch(struct writer *writer);
void writer_purge(struct writer *writer);
void writer_list(struct writer *writer);
void writer_members(struct writer *writer, int channel);
void writer_flush(struct writer *writer);
void writer_take(struct writer *writer);       /* answers */
/* The payload of a message with this tag: any of the three kinds, of any size. */
struct msg *payload_new(struct sim *sim, uint32_t tag, int channel);
void payload_json(struct sim *sim, uint32_t tag, struct buf *out);
