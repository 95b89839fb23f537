/* revocations.h — the tokens that are not let in any more.
 *
 *   POST /v1/tokens/revoke ─> revocation_ask in a record_call ─> hub: revocations_prepare ─> store ─> revocations_apply: in
 *                                                     force here, who was let in before is looked for (taken_back.h) ─> answered
 *   a valid token ─> revocations_check ─> let in, or ERR_TOKEN_REVOKED
 *
 * Each is kept until every token it takes back has expired; then it is removed (revocations_due).
 *
 * Lifetime   revocations_new before the threads start, revocations_free after they have ended.
 * Threading  changed on the hub thread, as records are (hub/records.h, access_records.c); read by any under a lock of its own.
 * Limits     limits.revocations; beyond it ERR_TOO_MANY_REVOCATIONS. To check a token takes two looks into a hash table. */
#pragma once
#include "hub/access/revocation.h"
#include "hub/access/taken_back.h"

enum { REVOCATIONS_DUE_MAX = 64 };

struct revocations;

struct revocations *revocations_new(const struct taken_back *taken_back);     /* NULL: no memory. `taken_back` outlives it */
void                revocations_free(struct revocations *table);        /* NULL is fine */

/* What a record_call asks for; its key is revocation->item.id. */
struct revocation_ask {
    struct revocation *add;        /* the asker's; NULL: the record of that key goes (ERR_NOT_FOUND) */
    int64_t            due_s;      /* of one that goes: only if it is not needed any more at this moment (ERR_NOT_FOUND); 0: in any case */
    size_t             most;       /* limits.revocations */
    struct buf         told;       /* answer to add: its record as it is in force now; the asker's to free */
};

/* The steps of a change to the revocation of that id, as in records.h: what its record will be is added to *value, or nothing, when
 * it goes. */
int  revocations_prepare(struct revocations *table, struct slice id, const struct revocation_ask *ask, struct buf *value,
                         void **ret_prepared);
void revocations_apply(struct revocations *table, struct slice id, struct revocation_ask *ask, void *prepared);
void revocations_abandon(struct revocations *table, void *prepared);
/* Likewise: as it was when the hub ended, or as another node has made it. */
int  revocations_put(struct revocations *table, struct slice id, struct slice record);      /* ERR_STORE_OPEN, ERR_MEMORY: nothing has changed */
void revocations_drop(struct revocations *table, struct slice id);
bool revocations_print(struct revocations *table, struct slice id, struct buf *out);        /* its record */

/* What time brings: ids of those that are not needed any more, at most REVOCATIONS_DUE_MAX. */
size_t revocations_due(struct revocations *table, int64_t now_s, char ret_ids[REVOCATIONS_DUE_MAX][ROLL_ID_MAX + 1]);

/* 0 or ERR_TOKEN_REVOKED. Empty: the token does not say; issued_s 0 likewise. Any thread. */
int  revocations_check(struct revocations *table, struct slice jti, struct slice user, int64_t issued_s);

/* Calls each(arg, revocation) for at most `most` of those with ids greater than `after`, under the lock: be quick.
 * True: there are more behind them. */
bool revocations_page(struct revocations *table, struct slice after, size_t most,
                      void (*each)(void *arg, const struct revocation *revocation), void *arg);
/* The same for that one; false: there is none. */
bool revocations_show(struct revocations *table, struct slice id, void (*each)(void *arg, const struct revocation *revocation), void *arg);
