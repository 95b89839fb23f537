#include "hub/base/chains.h"

#include "hub/base/err.h"

#include <stdlib.h>

enum { HEADS_MIN = 16 };

static struct chain_link **head_of(const struct chains *chains, uint64_t hash)
{
    return &chains->heads[hash & (chains->n_heads - 1)];
}

static void move_all(struct chains *to, const struct chains *from)
{
    for (size_t i = 0; i < from->n_heads; i++)
        for (struct chain_link *link = from->heads[i], *next; link; link = next) {
            next = link->next;
            chains_add(to, link, link->hash);
        }
}

/* Longer chains are no failure, so only the first table must be had. */
int chains_reserve(struct chains *chains, size_t n)
{
    struct chains bigger = { .n_heads = chains->n_heads ? chains->n_heads : HEADS_MIN };
    while (bigger.n_heads < n)
        bigger.n_heads *= 2;
    if (bigger.n_heads == chains->n_heads)
        return 0;
    if (!(bigger.heads = calloc(bigger.n_heads, sizeof *bigger.heads)))
        return chains->heads ? 0 : ERR_MEMORY;
    move_all(&bigger, chains);
    free(chains->heads);
    *chains = bigger;
    return 0;
}

void chains_add(struct chains *chains, struct chain_link *link, uint64_t hash)
{
    struct chain_link **head = head_of(chains, hash);
    link->hash = hash;
    link->next = *head;
    *head = link;
    chains->n++;
}

void chains_remove(struct chains *chains, struct chain_link *link)
{
    struct chain_link **at = head_of(chains, link->hash);
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    chains->n--;
}

static struct chain_link *with_hash(struct chain_link *link, uint64_t hash)
{
    while (link && link->hash != hash)
        link = link->next;
    return link;
}

struct chain_link *chains_first(const struct chains *chains, uint64_t hash)
{
    return chains->n > 0 ? with_hash(*head_of(chains, hash), hash) : NULL;
}

struct chain_link *chains_next(const struct chain_link *link) { return with_hash(link->next, link->hash); }

void chains_fini(struct chains *chains)
{
    free(chains->heads);
    *chains = (struct chains){ 0 };
}
