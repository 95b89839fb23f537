/* room_ticket.h — what proves that somebody is the member who was told it: the resume token.
 *
 * 24 bytes in base64url: the number of the member's stay (8, big-endian), so that it is found, and a secret of 16 random bytes. The secret
 * is compared in constant time. A ticket is good as long as the stay, however often it is used: a client whose network flaps would
 * lose a new one as easily as the frame that it missed.
 *
 * Threading: pure functions but for ticket_draw, which asks the kernel. */
#pragma once
#include "hub/base/buf.h"

enum { TICKET_SECRET = 16, TICKET_TEXT = 32 };

struct ticket {
    uint64_t      number;
    unsigned char secret[TICKET_SECRET];
};

void ticket_draw(struct ticket *ticket, uint64_t number);
void ticket_print(const struct ticket *ticket, struct buf *out);
bool ticket_read(struct slice text, struct ticket *ret_ticket);      /* false: it is none */
bool ticket_same(const struct ticket *a, const struct ticket *b);
