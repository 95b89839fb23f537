#include "hub/base/reserve.h"

#include <event2/event.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The reserve is a row of blocks, each behind its head: first fit, free neighbours are joined on the way. Slow, and short. */
struct head {
    size_t size;         /* of the block with its head; a multiple of ALIGN */
    size_t used;         /* bytes asked for; 0: free */
};

enum { ALIGN = sizeof(struct head) };

static _Alignas(16) char bytes[RESERVE_BYTES];
static pthread_mutex_t   lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_size_t     bytes_used;

static struct head *first_head(void)             { return (struct head *)(void *)bytes; }
static struct head *next_head(struct head *head)  { return (struct head *)(void *)((char *)head + head->size); }
static bool         is_head(const struct head *head) { return (const char *)head < bytes + RESERVE_BYTES; }
static bool         is_ours(const void *p)        { return (uintptr_t)p - (uintptr_t)bytes < RESERVE_BYTES; }
static struct head *head_of(const void *p)        { return (struct head *)(void *)(bytes + ((uintptr_t)p - (uintptr_t)bytes)) - 1; }

static void join_free(struct head *head)
{
    for (struct head *next = next_head(head); is_head(next) && next->used == 0; next = next_head(head))
        head->size += next->size;
}

static void *use(struct head *head, size_t n, size_t size)
{
    if (head->size > size) {
        size_t rest = head->size - size;
        head->size = size;
        *next_head(head) = (struct head){ .size = rest };
    }
    head->used = n;
    atomic_fetch_add(&bytes_used, head->size);
    return head + 1;
}

static void *take(size_t n)
{
    void *found = NULL;
    if (n == 0 || n > RESERVE_BYTES / 2)
        return NULL;
    size_t size = (n + 2 * ALIGN - 1) / ALIGN * ALIGN;
    pthread_mutex_lock(&lock);
    if (first_head()->size == 0)
        first_head()->size = RESERVE_BYTES;
    for (struct head *head = first_head(); is_head(head) && !found; head = next_head(head)) {
        if (head->used == 0)
            join_free(head);
        if (head->used == 0 && head->size >= size)
            found = use(head, n, size);
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static void give_back(void *p)
{
    pthread_mutex_lock(&lock);
    head_of(p)->used = 0;
    atomic_fetch_sub(&bytes_used, head_of(p)->size);
    pthread_mutex_unlock(&lock);
}

void *reserve_malloc(size_t n)
{
    void *p = malloc(n);
    return p ? p : take(n);
}

void reserve_free(void *p)
{
    if (is_ours(p))
        give_back(p);
    else
        free(p);
}

/* A block of the reserve goes back to malloc's memory as soon as it grows and there is some. */
static void *move_out(void *p, size_t n)
{
    size_t had = head_of(p)->used;
    void *to = reserve_malloc(n);
    if (!to)
        return NULL;
    memcpy(to, p, had < n ? had : n);
    give_back(p);
    return to;
}

/* What malloc cannot make larger is copied; how much of it there is, malloc knows at least. */
static void *move_in(void *p, size_t n)
{
    void *to = take(n);
    if (!to)
        return NULL;
    size_t had = malloc_usable_size(p);
    memcpy(to, p, had < n ? had : n);
    free(p);
    return to;
}

void *reserve_realloc(void *p, size_t n)
{
    if (n == 0) {
        reserve_free(p);
        return NULL;
    }
    if (!p)
        return reserve_malloc(n);
    if (is_ours(p))
        return move_out(p, n);
    void *to = realloc(p, n);
    return to ? to : move_in(p, n);
}

size_t reserve_used(void) { return atomic_load_explicit(&bytes_used, memory_order_relaxed); }

/* ---- OpenSSL, which tells where in its source it asks ---- */

static _Thread_local bool tls_is_established;

void reserve_for_tls(bool established) { tls_is_established = established; }

static void *malloc_for_tls(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return tls_is_established ? reserve_malloc(n) : malloc(n);
}

/* What grows (texts of errors, messages of a handshake) may stay long: only what is here already is moved. */

static void *realloc_for_tls(void *p, size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return n == 0 || is_ours(p) ? reserve_realloc(p, n) : realloc(p, n);
}

static void free_for_tls(void *p, const char *file, int line)
{
    (void)file, (void)line;
    reserve_free(p);
}

void reserve_setup(void)
{
    event_set_mem_functions(reserve_malloc, reserve_realloc, reserve_free);
    CRYPTO_set_mem_functions(malloc_for_tls, realloc_for_tls, free_for_tls);
}
