#include "hub/config/config_snapshot.h"

#include "hub/config/redis_url.h"

#include <openssl/ssl.h>
#include <stdlib.h>

struct config_block {
    struct config_block *next;
    _Alignas(max_align_t) char bytes[];
};

struct config_snapshot *snapshot_new(void)
{
    struct config_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot)
        abort();
    atomic_init(&snapshot->holds, 1);
    return snapshot;
}

struct config_snapshot *snapshot_of(const struct config *config)
{
    return (struct config_snapshot *)(uintptr_t)config;
}

void snapshot_free(struct config_snapshot *snapshot)
{
    struct config_block *next;
    SSL_CTX_free(snapshot->config.tls);
    SSL_CTX_free(snapshot->config.redis_tls);
    if (snapshot->config.redis)
        redis_url_fini((struct redis_url *)snapshot->config.redis);
    for (struct config_block *block = snapshot->blocks; block; block = next) {
        next = block->next;
        free(block);
    }
    free(snapshot);
}

void *snapshot_alloc(struct config_snapshot *snapshot, size_t bytes)
{
    struct config_block *block = calloc(1, sizeof *block + bytes);
    if (!block)
        abort();
    block->next = snapshot->blocks;
    snapshot->blocks = block;
    return block->bytes;
}

char *snapshot_copy(struct config_snapshot *snapshot, struct slice text)
{
    char *copy = snapshot_alloc(snapshot, text.len + 1);
    memcpy(copy, text.at, text.len);
    return copy;
}

static bool parts_words(char c) { return c == ' ' || c == '\t' || c == ','; }

/* The next word of *rest, which moves behind it; false at the end. */
static bool next_word(struct slice *rest, struct slice *ret_word)
{
    while (rest->len && parts_words(*rest->at))
        *rest = slice(rest->at + 1, rest->len - 1);
    size_t len = 0;
    while (len < rest->len && !parts_words(rest->at[len]))
        len++;
    *ret_word = slice(rest->at, len);
    *rest = slice(rest->at + len, rest->len - len);
    return len > 0;
}

struct words snapshot_words(struct config_snapshot *snapshot, struct slice text)
{
    struct slice word, rest = text;
    size_t count = 0;
    while (next_word(&rest, &word))
        count++;
    const char **at = snapshot_alloc(snapshot, (count + 1) * sizeof *at);
    rest = text;
    for (size_t i = 0; i < count && next_word(&rest, &word); i++)
        at[i] = snapshot_copy(snapshot, word);
    return (struct words){ at, count };
}
