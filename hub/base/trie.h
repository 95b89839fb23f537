/* trie.h — values by pattern (name.h), and all whose pattern matches a name.
 *
 * A tree by segments: one node for each beginning of a pattern. Looking a name up walks down the name's segments, at each into
 * the node of that segment and into that of `*`; patterns that begin otherwise are never looked at:
 *
 *   orders.eu        root ─orders─> o ─eu─> value
 *   orders.*                         ├─*──> value
 *   orders.**                        └ value of `**`: one segment or more below
 *
 * So a lookup costs by the segments of the name and the beginnings of patterns that match its own beginning, not by how many
 * patterns there are. Whoever may make patterns can still make some that all begin as a name does (a.*.z, *.a.z, *.*.z): each
 * of those is a walk of its own, which is why their number is limited per connection (limits.patterns). As bad as can be, a name of 18
 * segments and patterns of all the ways to put stars into it, costs 100 to 300 ns for each; patterns that differ in an early segment, or
 * in the last, cost nothing however many they are.
 *
 * All nodes are in one hash table, by parent and segment: a node has no table of its own, and one with a single child is cheap.
 *
 * Lifetime   a trie without values owns no memory. Values are the caller's, and never NULL.
 * Threading  whoever owns it. A trie must not change while trie_match walks it.
 * Limits     a node (about 80 bytes and the segment) per segment that no other pattern shares, at most 200 per pattern. */
#pragma once
#include "hub/base/buf.h"
#include "hub/base/chains.h"

struct trie_node;

struct trie {                      /* {0} is empty */
    struct chains     nodes;       /* all but the root */
    struct trie_node *root;        /* NULL: empty */
    size_t            count;       /* values */
};

typedef void trie_found_fn(void *arg, void *value);

/* `pattern` is valid (pattern_check) and has no value yet. 0 or ERR_MEMORY: nothing has changed. */
int   trie_add(struct trie *trie, struct slice pattern, void *value);
void *trie_find(const struct trie *trie, struct slice pattern);      /* of exactly this pattern; NULL: none */
void *trie_remove(struct trie *trie, struct slice pattern);          /* its value; NULL: there was none */
/* Calls found() for each value whose pattern matches this valid channel name, in no particular order. */
void  trie_match(const struct trie *trie, struct slice name, trie_found_fn *found, void *arg);
/* Calls each() for all values, in no particular order. */
void  trie_each(const struct trie *trie, trie_found_fn *each, void *arg);
void  trie_fini(struct trie *trie);                                   /* not the values */
