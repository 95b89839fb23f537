#include "hub/base/mail.h"

#include <sys/eventfd.h>
#include <unistd.h>

int mailbox_init(struct mailbox *box, bool with_fd)
{
    atomic_init(&box->top, NULL);
    box->fd = with_fd ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1;
    return with_fd && box->fd < 0 ? -1 : 0;
}

void mailbox_fini(struct mailbox *box)
{
    if (box->fd >= 0)
        close(box->fd);
    box->fd = -1;
}

static void wake(struct mailbox *box)
{
    uint64_t one = 1;
    if (box->fd >= 0 && write(box->fd, &one, sizeof one) < 0)
        return;     /* the counter is full: it is readable anyway */
}

/* The fd is emptied before the chain is taken, so a letter that comes in between leaves it readable. */
static void quiet(struct mailbox *box)
{
    uint64_t count;
    if (box->fd >= 0 && read(box->fd, &count, sizeof count) < 0)
        return;     /* nothing had been signalled */
}

struct letter *mailbox_take(struct mailbox *box)
{
    quiet(box);
    struct letter *newest = atomic_exchange_explicit(&box->top, NULL, memory_order_acquire), *oldest = NULL;
    while (newest) {
        struct letter *older = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = older;
    }
    return oldest;
}

void post_init(struct post *post, struct mailbox *to, size_t limit_bytes)
{
    *post = (struct post){ .to = to, .limit = limit_bytes };
    atomic_init(&post->done, 0);
}

void post_put(struct post *post, struct letter *letter, size_t bytes)
{
    letter->via = post;
    letter->bytes = (uint32_t)bytes;
    letter->next = post->newest;
    if (!post->oldest)
        post->oldest = letter;
    post->newest = letter;
    post->sent += bytes;
}

void post_flush(struct post *post)
{
    if (!post->newest)
        return;
    struct mailbox *box = post->to;
    struct letter *top = atomic_load_explicit(&box->top, memory_order_relaxed);
    do
        post->oldest->next = top;
    while (!atomic_compare_exchange_weak_explicit(&box->top, &top, post->newest, memory_order_release, memory_order_relaxed));
    post->newest = post->oldest = NULL;
    if (!top)
        wake(box);
}

bool post_has_room(const struct post *post)
{
    return post->sent - atomic_load_explicit(&post->done, memory_order_relaxed) < post->limit;
}

void letter_done(struct letter *letter)
{
    atomic_fetch_add_explicit(&letter->via->done, letter->bytes, memory_order_relaxed);
}
