/* upload.h — many messages over one POST /v1/messages of lines (PROTOCOL.md §8), for `carillon pub`: items go out as their source has them
 * and the pace lets them, results come back meanwhile, and what is cut goes on.
 *
 *   source ─> item ─> UNDER WAY, in the order they were sent ─result─> told
 *                          │  cut, or the hub ends the stream              ^
 *                          └─> AGAIN, in the same order ──────> sent first ┘
 *
 * - Each item has an idempotency key of its own (item.h), so what was sent again is published once: the hub answers what had been
 *   published before with its first result.
 * - A cut, a hub that is away or drains, and results 429 and 503 are waited for and tried again (retry.h); everything else that is wrong
 *   with an item is told with its number, and the others go on. Order holds, but for items that the hub refused for now (429, 503).
 * - A line of blanks now and then tells the hub that somebody is still there; a hub that owes a result for 90 s counts as cut.
 *
 * Lifetime   embedded; init to fini, run once. Threading: whoever owns it.
 * Limits     UPLOAD_ITEMS or UPLOAD_BYTES without a result: then the source waits. What the hub says about one item: 1 MiB. */
#pragma once
#include "clients/cli/item.h"
#include "clients/cli/output.h"
#include "clients/cli/pacer.h"
#include "clients/cli/request.h"
#include "clients/cli/retry.h"
#include "clients/cli/source.h"
#include "hub/base/line_reader.h"
#include "hub/base/list.h"

enum { UPLOAD_ITEMS = 8192, UPLOAD_BYTES = 4 * 1024 * 1024 };
enum upload_form { UPLOAD_IDS, UPLOAD_JSON, UPLOAD_QUIET };

struct upload {
    const struct cli_command *command;
    struct source      *source;
    bool                objects;            /* its items are items of the API already */
    bool                single;             /* one message: its number is not worth telling */
    struct item_terms   terms;
    struct pacer        pacer;
    struct retry        retry;
    enum upload_form    form;
    struct output      *output;
    /* inside */
    struct cli_request  request;
    struct link         under_way, again;   /* struct pending */
    size_t              n_pending, bytes;   /* of both */
    struct buf          out;                /* that the transfer has not taken yet, from `out_at` on */
    size_t              out_at;
    uint64_t            next_index;         /* of the present stream */
    struct line_reader  results;
    bool                source_ended, body_ended, paused;
    bool                summed_up;          /* the hub's last line has come */
    bool                end_is_final;       /* and says what coming back will not change */
    bool                broken;             /* no memory, or an answer that is none: told */
    int64_t             spoke_ms;           /* when something was last put into `out` */
    int64_t             heard_ms;           /* when results last came, or were not waited for yet */
    int64_t             hold_ms;            /* nothing goes out before */
    uint64_t            published, replayed, failed, told;
};

/* CLI_GO_ON, or how to leave. */
int  upload_init(struct upload *upload, const struct cli_command *command, const struct cli_target *target);
void upload_fini(struct upload *upload);
/* An enum cli_exit. How it went has been told. */
int  upload_run(struct upload *upload);
