#include "tests/sim/redis/fleet.h"

#include "hub/base/err.h"
#include "hub/call.h"

#include <stdio.h>
#include <stdlib.h>

struct asked {
    struct publish_call publish;
    uint32_t            tag;
    struct node        *node;
};

static void answered(struct call *call)
{
    struct asked *asked = (struct asked *)call;
    struct fleet *fleet = asked->node->fleet;
    struct write *write = &fleet->writes[asked->tag];
    const struct msg *m = asked->publish.msg;
    fleet_trace(fleet, "writer: %u answered %d, %lu.%lu", asked->tag, call->err, m->epoch, m->seq);
    if (call->err == 0) {
        fleet_check(fleet, write->outcome != TAKEN || write->position.epoch != m->epoch || write->position.seq == m->seq,
                    "%u was acknowledged as %lu, and before as %lu", asked->tag, m->seq, write->position.seq);
        write->outcome = TAKEN;
        write->position = (struct position){ m->epoch, m->seq };
        happened(published);
        if (asked->publish.replayed)
            happened(replayed);
    } else if (call->err == ERR_OUTCOME_UNKNOWN) {
        write->outcome = write->outcome == TAKEN ? TAKEN : UNKNOWN;
        happened(unknown);
    } else {
        bool known = call->err == ERR_REDIS_AWAY || call->err == ERR_REDIS_REFUSED || call->err == ERR_DRAINING || call->err == ERR_BUSY;
        fleet_check(fleet, known, "%u was answered %s", asked->tag, err_text(call->err));
        write->outcome = write->outcome == ASKED ? REFUSED : write->outcome;
        happened(refused);
    }
    asked->node->under_way--;
    msg_unref(asked->publish.msg);
    free(asked);
}

static void ask_for(struct fleet *fleet, struct node *node, uint32_t tag)
{
    const struct write *write = &fleet->writes[tag];
    struct asked *asked = calloc(1, sizeof *asked);
    char text[60];
    int len = snprintf(text, sizeof text, "%u %.*s", tag, (int)(tag % 40), "........................................");
    *asked = (struct asked){ .tag = tag, .node = node };
    asked->publish.msg = msg_new(&(struct msg_parts){ .channel = slice_of(names[write->channel]), .kind = MSG_TEXT, .data = slice(text, (size_t)len) });
    if (write->keyed)
        asked->publish.key = (struct idempotency_key){ .id = { tag + 1, fleet->seed }, .content = { tag + 1, 7 } };
    asked->publish.call.letter.kind = CALL_PUBLISH;
    asked->publish.call.from = node->peer;
    asked->publish.call.answered = answered;
    node->under_way++;
    call_submit(&node->to_hub, &asked->publish.call, 0);
}

void writer_publish(struct fleet *fleet, struct node *node, int channel)
{
    if (fleet->n_writes == fleet->cap_writes) {
        fleet->cap_writes = fleet->cap_writes ? 2 * fleet->cap_writes : 256;
        fleet->writes = realloc(fleet->writes, fleet->cap_writes * sizeof *fleet->writes);
        fleet_check(fleet, fleet->writes, "no memory");
    }
    uint32_t tag = (uint32_t)fleet->n_writes++;
    fleet->writes[tag] = (struct write){ .channel = (uint8_t)channel, .keyed = chance(fleet, 300) };
    fleet_trace(fleet, "writer: %u to %s by hub %d", tag, names[fleet->writes[tag].channel], (int)(node - fleet->nodes));
    ask_for(fleet, node, tag);
}

void writer_again(struct fleet *fleet, struct node *node)
{
    for (size_t i = fleet->n_writes, looked = 0; i-- > 0 && looked < 20; looked++)
        if (fleet->writes[i].keyed && fleet->writes[i].outcome != ASKED) {
            ask_for(fleet, node, (uint32_t)i);
            return;
        }
}

void writer_take(struct node *node)
{
    for (struct letter *letter = mailbox_take(&node->box), *next; letter; letter = next) {
        next = letter->next;
        struct call *call = (struct call *)letter;
        letter_done(letter);
        call->answered(call);
    }
}

/* What was acknowledged is there, once, and as it was said; what was refused is not. */
void writer_check(struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->n_writes; i++) {
        const struct write *write = &fleet->writes[i];
        uint64_t epoch, seq;
        int channel;
        unsigned n = truth_count(fleet, (uint32_t)i, &epoch, &seq, &channel);
        fleet_check(fleet, n == 0 || channel == write->channel, "%zu is in %s", i, n ? names[channel] : "");
        fleet_check(fleet, write->outcome != ASKED, "%zu was never answered", i);
        fleet_check(fleet, write->outcome != REFUSED || n == 0, "%zu was refused, and is number %lu", i, seq);
        fleet_check(fleet, n <= 1 || (write->keyed && fleet->flushes > 0), "%zu was published %u times", i, n);
        if (write->outcome != TAKEN)
            continue;
        const struct epoch *of = truth_of(fleet, write->position.epoch);
        const struct fact *fact = of ? truth_find(of, write->position.seq) : NULL;
        fleet_check(fleet, fact && fact->tag == i, "%zu was acknowledged as %lu.%lu, which is another", i, write->position.epoch, write->position.seq);
    }
}
