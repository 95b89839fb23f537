#include "hub/rooms/room_ticket.h"

#include "hub/access/base64url.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/random.h>

enum { NUMBER_BYTES = 8, TICKET_BYTES = NUMBER_BYTES + TICKET_SECRET };

void ticket_draw(struct ticket *ticket, uint64_t number)
{
    ticket->number = number;
    if (getrandom(ticket->secret, sizeof ticket->secret, 0) != sizeof ticket->secret)
        abort();      /* up to 256 bytes never fail once the kernel has started (getrandom(2)) */
}

void ticket_print(const struct ticket *ticket, struct buf *out)
{
    char bytes[TICKET_BYTES];
    for (int i = 0; i < NUMBER_BYTES; i++)
        bytes[i] = (char)(ticket->number >> 8 * (NUMBER_BYTES - 1 - i));
    memcpy(bytes + NUMBER_BYTES, ticket->secret, TICKET_SECRET);
    base64url_add(out, slice(bytes, sizeof bytes));
}

bool ticket_read(struct slice text, struct ticket *ret_ticket)
{
    struct buf bytes = { 0 };
    bool good = text.len == TICKET_TEXT && base64url_decode(text, &bytes) == 0 && !bytes.failed && bytes.len == TICKET_BYTES;
    if (good) {
        ret_ticket->number = 0;
        for (int i = 0; i < NUMBER_BYTES; i++)
            ret_ticket->number = ret_ticket->number << 8 | (unsigned char)bytes.at[i];
        memcpy(ret_ticket->secret, bytes.at + NUMBER_BYTES, TICKET_SECRET);
    }
    buf_fini(&bytes);
    return good;
}

bool ticket_same(const struct ticket *a, const struct ticket *b)
{
    return a->number == b->number && CRYPTO_memcmp(a->secret, b->secret, TICKET_SECRET) == 0;
}
