#define HASH_NONFATAL_OOM 1      /* a finding without memory is left out of the table: hh.tbl is NULL */
#include "hub/gave_up.h"

#include "hub/base/name.h"
#include "hub/base/trie.h"
#include "hub/call.h"

#include <stdlib.h>

/* Of one pattern: the highest number given up by those that match, among the channels that may have given up something above `back_to`, as of
 * the `nth` time that any did. */
struct finding {
    UT_hash_handle hh;
    struct link    lately;
    uint64_t       dropped, back_to, nth;
    uint8_t        len;
    char           pattern[];
};

void gave_up_init(struct gave_up *gave_up)
{
    *gave_up = (struct gave_up){ .nth = 0 };
    link_init(&gave_up->channels);
    link_init(&gave_up->lately);
}

static void finding_free(struct gave_up *gave_up, struct finding *finding)
{
    HASH_DEL(gave_up->findings, finding);
    link_remove(&finding->lately);
    gave_up->n_findings--;
    free(finding);
}

void gave_up_forget(struct gave_up *gave_up)
{
    list_each (link, next, &gave_up->lately)
        finding_free(gave_up, link_of(link, struct finding, lately));
}

void gave_up_fini(struct gave_up *gave_up) { gave_up_forget(gave_up); }

void gave_up_add(struct gave_up *gave_up, struct channel *ch, uint64_t highest)
{
    ch->gave_up_at = highest;
    ch->gave_up_nth = ++gave_up->nth;
    list_add_last(&gave_up->channels, &ch->gave_up);
}

bool gave_up_each(struct gave_up *gave_up, uint64_t after, uint64_t nth, bool (*found)(void *arg, struct channel *ch), void *arg)
{
    for (struct link *l = gave_up->channels.prev; l != &gave_up->channels; l = l->prev) {
        struct channel *ch = link_of(l, struct channel, gave_up);
        if (ch->gave_up_nth <= nth)
            return true;
        if (ch->gave_up_at <= after)
            return false;
        gave_up->looked++;
        if (rule_keeps(ch->rule) && !found(arg, ch))
            return true;
    }
    return true;
}

/* ---- what is remembered ---- */

static struct finding *recall(const struct gave_up *gave_up, struct slice pattern)
{
    struct finding *finding;
    HASH_FIND(hh, gave_up->findings, pattern.at, (unsigned)pattern.len, finding);
    return finding;
}

static struct finding *finding_new(struct gave_up *gave_up, struct slice pattern)
{
    struct finding *finding = calloc(1, sizeof *finding + pattern.len);
    if (!finding)
        return NULL;
    link_init(&finding->lately);
    finding->back_to = UINT64_MAX;
    finding->len = (uint8_t)pattern.len;
    memcpy(finding->pattern, pattern.at, pattern.len);
    HASH_ADD_KEYPTR(hh, gave_up->findings, finding->pattern, finding->len, finding);
    if (!finding->hh.tbl) {
        free(finding);
        return NULL;
    }
    gave_up->n_findings++;
    return finding;
}

/* `all_new`: the look has met all who gave something up since the one before, so that it reaches as far back as that one did. */
static void remember(struct gave_up *gave_up, struct slice pattern, uint64_t back_to, bool all_new, uint64_t dropped)
{
    struct finding *finding = recall(gave_up, pattern);
    bool is_first = !finding;
    if (is_first && !(finding = finding_new(gave_up, pattern)))
        return;
    if (is_first || all_new) {
        finding->back_to = back_to < finding->back_to ? back_to : finding->back_to;
        finding->dropped = dropped;
        finding->nth = gave_up->nth;
    }
    list_add_last(&gave_up->lately, &finding->lately);
    if (gave_up->n_findings > GAVE_UP_PATTERNS)
        finding_free(gave_up, link_of(list_first(&gave_up->lately), struct finding, lately));
}

/* ---- a look ---- */

struct look {
    struct gave_up       *gave_up;
    const struct trie    *wanted;
    struct channel       *giver;      /* that is looked at */
    struct fetch_channel *only;       /* the only one there is: who has given up nothing above its `dropped` does not matter. NULL: several */
    uint64_t              back_to, nth;
};

static void raise(struct fetch_channel *asked, uint64_t dropped)
{
    if (asked->dropped < dropped)
        asked->dropped = dropped;
}

static void on_match(void *arg, void *value)
{
    const struct look *look = arg;
    struct fetch_channel *asked = value;
    if (name_is_pattern(asked->name))
        raise(asked, look->giver->dropped);
}

static bool on_giver(void *arg, struct channel *ch)
{
    struct look *look = arg;
    if (look->only && ch->gave_up_at <= look->only->dropped)
        return false;
    look->giver = ch;
    trie_match(look->wanted, channel_name(ch), on_match, look);
    return true;
}

/* How far the look has to go for this one too. */
static void reach_for(struct look *look, struct fetch_channel *asked)
{
    const struct finding *finding = recall(look->gave_up, asked->name);
    bool is_enough = finding && finding->back_to <= look->back_to;
    if (finding)
        raise(asked, finding->dropped);
    if (finding && !is_enough)
        look->back_to = 0;      /* all of it: not again for each that comes from a little further back */
    if (!is_enough)
        look->nth = 0;
    else if (finding->nth < look->nth)
        look->nth = finding->nth;
}

void gave_up_find(struct gave_up *gave_up, const struct trie *wanted, struct fetch_channel *asked, size_t n, uint64_t after)
{
    struct look look = { .gave_up = gave_up, .wanted = wanted, .only = n == 1 ? asked : NULL, .back_to = after, .nth = UINT64_MAX };
    if (after == UINT64_MAX)
        return;      /* nothing is above it */
    for (size_t i = 0; i < n; i++)
        if (name_is_pattern(asked[i].name))
            reach_for(&look, &asked[i]);
    bool all_new = gave_up_each(gave_up, look.back_to, look.nth, on_giver, &look);
    for (size_t i = 0; i < n; i++)
        if (name_is_pattern(asked[i].name))
            remember(gave_up, asked[i].name, look.back_to, all_new, asked[i].dropped);
}
