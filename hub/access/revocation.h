/* revocation.h — one order that tokens are not to be let in any more, and its record.
 *
 *   jti      the token with this id
 *   user     the tokens of this user that were issued before a moment
 *   all      the tokens of everybody that were issued before a moment
 *
 * A token that does not say when it was issued counts as issued before any moment. There is at most one revocation for each subject:
 * its id is made of the subject, and a second order for the same one only ever takes more back, and longer (revocation_merge).
 *
 *   record  {"jti":…} or {"user":…,"before":s} or {"before":s}, and "created":s,"until":s,"reason":…     s: seconds since 1970
 *
 * Lifetime   whoever made it frees it, or gives it to the table (revocations.h). Threading: immutable but for its place in the table. */
#pragma once
#include "hub/access/roll.h"
#include "hub/base/chains.h"

enum { REVOCATION_NAME_MAX = 200, REVOCATION_REASON_MAX = 200, REVOCATION_ID_TEXT = 3 + 32 + 1 };
enum revocation_kind { REVOKES_TOKEN, REVOKES_USER, REVOKES_ALL };

struct revocation {
    struct roll_item     item;         /* first: its id */
    struct chain_link    link;         /* by subject */
    enum revocation_kind kind;
    int64_t              before_s;     /* not of REVOKES_TOKEN: issued earlier than this */
    int64_t              created_s;
    int64_t              until_s;      /* then every such token has expired */
    struct slice         subject;      /* jti or user; empty */
    struct slice         reason;       /* for people; may be empty */
    char                 bytes[];
};

/* `form` has everything but the id, its slices borrowed, none longer than they may be; NULL: no memory. */
struct revocation *revocation_new(const struct revocation *form);
static inline struct revocation *revocation_of_link(struct chain_link *link)
{
    return (struct revocation *)((char *)link - offsetof(struct revocation, link));
}
/* What both of the same subject take back; the reason and the time are those of `later`. NULL: no memory. */
struct revocation *revocation_merge(const struct revocation *earlier, const struct revocation *later);
int                revocation_id(enum revocation_kind kind, struct slice subject, char ret_id[REVOCATION_ID_TEXT]);
uint64_t           revocation_hash(enum revocation_kind kind, struct slice subject);

void revocation_print(const struct revocation *revocation, struct buf *out);                          /* its record */
int  revocation_read(struct slice id, struct slice record, struct revocation **ret_revocation);       /* 0, ERR_STORE_OPEN, ERR_MEMORY */
