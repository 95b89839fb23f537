#include "hub/base/trie.h"

#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/base/list.h"
#include "hub/base/name.h"

#include <stdlib.h>

enum { SEGMENTS_MAX = CHANNEL_NAME_MAX + 1 };      /* of a name that is nothing but dots */

struct trie_node {
    struct chain_link  chain;       /* in trie->nodes; the root is not */
    struct trie_node  *parent;      /* NULL: the root */
    struct trie_node  *star;        /* its child `*`, or NULL */
    void              *here;        /* value of the pattern that ends here */
    void              *below;       /* value of the pattern that goes on with `**` */
    uint32_t           n_children;
    uint8_t            len;
    char               segment[];
};

static struct trie_node *node_of(struct chain_link *link) { return link_of(link, struct trie_node, chain); }
static bool is_star(struct slice segment)      { return slice_is(segment, SLICE("*")); }
static bool is_rest(struct slice segment)      { return slice_is(segment, SLICE("**")); }

/* The same segment below another parent has another hash, and neither can be chosen by a stranger. */
static uint64_t hash_below(const struct trie_node *parent, uint64_t segment_hash)
{
    return (parent->chain.hash ^ segment_hash) * 0x9e3779b97f4a7c15u + (segment_hash >> 32);
}

static struct trie_node *find_child(const struct trie *trie, const struct trie_node *parent, struct slice segment, uint64_t segment_hash)
{
    struct chain_link *link = chains_first(&trie->nodes, hash_below(parent, segment_hash));
    for (; link; link = chains_next(link)) {
        struct trie_node *node = node_of(link);
        if (node->parent == parent && slice_is(slice(node->segment, node->len), segment))
            return node;
    }
    return NULL;
}

/* ---- changes ---- */

static struct trie_node *new_root(struct trie *trie)
{
    if (!trie->root)
        trie->root = calloc(1, sizeof *trie->root);
    return trie->root;
}

static struct trie_node *new_child(struct trie *trie, struct trie_node *parent, struct slice segment, uint64_t segment_hash)
{
    struct trie_node *node = chains_reserve(&trie->nodes, trie->nodes.n + 1) ? NULL : calloc(1, sizeof *node + segment.len);
    if (!node)
        return NULL;
    node->parent = parent;
    node->len = (uint8_t)segment.len;
    memcpy(node->segment, segment.at, segment.len);
    chains_add(&trie->nodes, &node->chain, hash_below(parent, segment_hash));
    parent->n_children++;
    if (is_star(segment))
        parent->star = node;
    return node;
}

/* Frees the node and those above it, as far up as nothing is left that needs them. */
static void prune(struct trie *trie, struct trie_node *node)
{
    while (node && !node->here && !node->below && node->n_children == 0) {
        struct trie_node *parent = node->parent;
        if (parent) {
            chains_remove(&trie->nodes, &node->chain);
            parent->n_children--;
            if (parent->star == node)
                parent->star = NULL;
        } else {
            trie->root = NULL;
            chains_fini(&trie->nodes);
        }
        free(node);
        node = parent;
    }
}

/* The node of the pattern without a last `**`, and where in it the pattern's value stands. */
struct spot {
    struct trie_node *node;         /* NULL: there is none */
    void            **value;
};

static struct spot find_spot(const struct trie *trie, struct slice pattern)
{
    struct trie_node *node = trie->root;
    struct slice segment;
    while (node && name_segment(&pattern, &segment)) {
        if (is_rest(segment))
            return (struct spot){ node, &node->below };
        node = find_child(trie, node, segment, hash_bytes(segment));
    }
    return (struct spot){ node, node ? &node->here : NULL };
}

static struct spot make_spot(struct trie *trie, struct slice pattern)
{
    struct trie_node *node = new_root(trie), *child;
    struct slice segment;
    while (node && name_segment(&pattern, &segment)) {
        uint64_t hash = hash_bytes(segment);
        if (is_rest(segment))
            return (struct spot){ node, &node->below };
        child = find_child(trie, node, segment, hash);
        if (!child && !(child = new_child(trie, node, segment, hash))) {
            prune(trie, node);
            node = NULL;
            break;
        }
        node = child;
    }
    return (struct spot){ node, node ? &node->here : NULL };
}

int trie_add(struct trie *trie, struct slice pattern, void *value)
{
    struct spot spot = make_spot(trie, pattern);
    if (!spot.node)
        return ERR_MEMORY;
    *spot.value = value;
    trie->count++;
    return 0;
}

void *trie_find(const struct trie *trie, struct slice pattern)
{
    struct spot spot = find_spot(trie, pattern);
    return spot.node ? *spot.value : NULL;
}

void *trie_remove(struct trie *trie, struct slice pattern)
{
    struct spot spot = find_spot(trie, pattern);
    void *value = spot.node ? *spot.value : NULL;
    if (!value)
        return NULL;
    *spot.value = NULL;
    trie->count--;
    prune(trie, spot.node);
    return value;
}

static void each_value(const struct trie_node *node, trie_found_fn *each, void *arg)
{
    if (node->here)
        each(arg, node->here);
    if (node->below)
        each(arg, node->below);
}

void trie_each(const struct trie *trie, trie_found_fn *each, void *arg)
{
    if (trie->root)
        each_value(trie->root, each, arg);
    for (size_t i = 0; i < trie->nodes.n_heads; i++)
        for (struct chain_link *link = trie->nodes.heads[i]; link; link = link->next)
            each_value(node_of(link), each, arg);
}

void trie_fini(struct trie *trie)
{
    for (size_t i = 0; i < trie->nodes.n_heads; i++)
        for (struct chain_link *link = trie->nodes.heads[i], *next; link; link = next) {
            next = link->next;
            free(node_of(link));
        }
    chains_fini(&trie->nodes);
    free(trie->root);
    *trie = (struct trie){ 0 };
}

/* ---- looking up ---- */

/* The name is taken apart as far as a node wants to know, and each segment is hashed once, however many nodes ask for it. */
struct walk {
    const struct trie *trie;
    trie_found_fn     *found;
    void              *arg;
    struct slice       rest;
    unsigned           n;
    struct slice       segments[SEGMENTS_MAX];
    uint64_t           hashes[SEGMENTS_MAX];
};

static bool has_segment(struct walk *walk, unsigned depth)
{
    if (depth < walk->n)
        return true;
    if (!name_segment(&walk->rest, &walk->segments[walk->n]))
        return false;
    walk->hashes[walk->n] = hash_bytes(walk->segments[walk->n]);
    walk->n++;
    return true;
}

/* Goes as deep as the name has segments. */
static void walk_below(struct walk *walk, const struct trie_node *node, unsigned depth)
{
    if (!has_segment(walk, depth)) {
        if (node->here)
            walk->found(walk->arg, node->here);
        return;
    }
    if (node->below)
        walk->found(walk->arg, node->below);
    if (node->n_children == 0)
        return;
    const struct trie_node *child = find_child(walk->trie, node, walk->segments[depth], walk->hashes[depth]);
    if (child)
        walk_below(walk, child, depth + 1);
    if (node->star)
        walk_below(walk, node->star, depth + 1);
}

void trie_match(const struct trie *trie, struct slice name, trie_found_fn *found, void *arg)
{
    struct walk walk;
    if (!trie->root || name.len > CHANNEL_NAME_MAX)
        return;
    walk.trie = trie;
    walk.found = found;
    walk.arg = arg;
    walk.rest = name;
    walk.n = 0;
    walk_below(&walk, trie->root, 0);
}
