/* mail.h — how threads talk: letters, first in first out per pair, one wake-up per batch.
 *
 * A thread that receives owns one mailbox. A thread that sends owns one post per receiver: it collects the letters of
 * one turn of its loop and hands them over together (post_flush), so a burst costs one wake-up.
 *
 *   sender's turn: post_put, post_put, … post_flush ──> mailbox ──wake──> receiver's turn: mailbox_take, then each letter
 *
 * Letters are embedded first in what they carry, and the receiver owns what it took: it frees it, or sends it back as
 * its own answer. Who frees is said where each kind of letter is declared.
 *
 * Bounds     a post counts the bytes of its letters that have not been taken and marked done yet. post_has_room() says
 *            whether more should be sent; the post itself never refuses, because answers and control letters must
 *            always get through: each of them was asked for by something that is bounded itself. Without room:
 *
 *            from, to     bound                  what happens when it is full
 *            edge, hub    4 MiB per edge         WebSockets are not read until answers come back (conn_pause_if_busy); each has
 *                                                one call under way even then. The edge's own calls go through: one watch per
 *                                                feed, one fetch per reader that catches up
 *            API, hub     16 MiB                 API connections are not read (http_front_has_room); before that a caller that
 *                                                has limits.caller_bytes under way gets 429
 *            hub, edge    edge.mail_bytes        messages are dropped until the edge, told by LETTER_LOST, has put its readers to
 *                                                catching up from history (EXACT.md 15). Sockets go through: limits.connections
 *            hub, API     none needed            nothing but answers
 *            hub, store   store.queue_bytes      publishes get 503 `busy`; two groups are under way, the next one grows (publish.c)
 *            store, hub   none needed            nothing but answers
 *            hub, http_out none needed           each asker has a request under way that is its own; no more than some at a time begin
 *            http_out, hub none needed           nothing but answers
 * Threading  mailbox_take: the receiver. post_*: the sender; post_has_room may be asked by the sender only.
 *            letter_done: the receiver.
 * Lifetime   mailboxes live until all threads have ended; a post until its receiver has taken everything. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct post;

struct letter {
    struct letter *next;
    struct post   *via;     /* set by post_put */
    uint32_t       bytes;   /* what it counts for in the bound; set by post_put */
    uint32_t       kind;    /* which struct it is embedded in: enum letter_kind */
};

struct mailbox {
    _Atomic(struct letter *) top;   /* newest first; mailbox_take turns it round */
    int fd;                         /* eventfd that is readable while letters wait; -1 in simulations */
};

int  mailbox_init(struct mailbox *box, bool with_fd);   /* 0 or -1 (errno) */
void mailbox_fini(struct mailbox *box);
/* Everything that has come, oldest first, chained by `next`; NULL: nothing. Read the next pointer before a letter is freed. */
struct letter *mailbox_take(struct mailbox *box);

struct post {
    struct mailbox *to;
    struct letter  *newest, *oldest;   /* collected in this turn, not handed over yet */
    size_t          limit;             /* bytes under way before post_has_room() says no */
    size_t          sent;              /* sender's: all bytes ever put */
    atomic_size_t   done;              /* receiver's: all bytes ever done */
};

void post_init(struct post *post, struct mailbox *to, size_t limit_bytes);
void post_put(struct post *post, struct letter *letter, size_t bytes);
void post_flush(struct post *post);          /* no letters: no cost */
bool post_has_room(const struct post *post);
/* The receiver has used the letter up: its bytes no longer count. Call before freeing it or sending it back. */
void letter_done(struct letter *letter);
