#include "hub/rooms.h"

#include "hub/access/access.h"
#include "hub/core.h"

#include <stdlib.h>

void hub_use_rooms(struct hub *hub, struct rooms_port *port) { hub->rooms = port; }

void room_run(struct hub *hub, struct room_call *call)
{
    if (hub->draining)
        hub_answer(hub, &call->call, ERR_DRAINING);
    else
        hub->rooms->run(hub->rooms, call);
}

void room_drop_run(struct hub *hub, struct letter *letter)
{
    struct room_drop *drop = (struct room_drop *)letter;
    letter_done(letter);
    if (hub->rooms)
        hub->rooms->drop(hub->rooms, drop->connection, drop->for_good);
    free(drop);
}

void room_rights_run(struct hub *hub, struct letter *letter)
{
    struct room_rights *rights = (struct room_rights *)letter;
    letter_done(letter);
    if (hub->rooms)
        hub->rooms->rights(hub->rooms, rights->connection, rights->principal);
    principal_unref(rights->principal);
    free(rights);
}

void rooms_answer(struct hub *hub, struct room_call *call, int err) { hub_answer(hub, &call->call, err); }

bool rooms_may_send(const struct hub *hub, uint64_t connection)
{
    return post_has_room(&hub->peers[connection_edge(connection)].post);
}

static void mail(struct hub *hub, uint64_t connection, struct letter *letter, size_t bytes)
{
    post_put(&hub->peers[connection_edge(connection)].post, letter, bytes);
}

void rooms_send(struct hub *hub, struct room_say *say)
{
    say->letter.kind = LETTER_ROOM_SAY;
    mail(hub, say->connection, &say->letter, sizeof *say + room_text_slice(say->rest).len);
}

void rooms_close(struct hub *hub, struct room_close *close)
{
    close->letter.kind = LETTER_ROOM_CLOSE;
    mail(hub, close->connection, &close->letter, sizeof *close);
}
