/* access.h — who may do what. Every connection and every API call has a principal, made once when it begins.
 *
 * A principal is {name, user, grants}: grants are patterns per operation.
 *
 *   anonymous   what [access] opens to everybody
 *   key         what the scopes of an API key say
 *   token       what a signed token grants (token.h), and what [access] opens: nobody may do less for having one
 *   dev         everything
 *
 * What is granted is asked once per command, on the thread where the command came in, before it is submitted to the hub.
 *
 * Lifetime   reference-counted; the config it was made from must outlive it. Anonymous and dev principals without a user are
 *            shared, so an idle anonymous connection costs no principal of its own.
 * Threading  immutable after it is made; references are atomic. */
#pragma once
#include "hub/base/buf.h"
#include "hub/config/access_op.h"

#include <stdint.h>

struct config;
struct live_key;
struct principal;
struct token;

/* Nobody in particular: with --dev all operations, else what [access] opens. */
struct principal *principal_anonymous(const struct config *config);
/* A user that --dev believes (?user=); ERR_BAD_CLIENT. */
int principal_dev_user(const struct config *config, struct slice user, struct principal **ret_principal);
/* The holder of an API key of the settings; compares SHA-256 in constant time; ERR_UNAUTHENTICATED. */
int principal_by_key(const struct config *config, struct slice key, struct principal **ret_principal);
/* The holder of a token, which it takes over, also when there is no memory: ERR_MEMORY. */
int principal_by_token(const struct config *config, struct token *token, struct principal **ret_principal);
/* The holder of a secret of a key made at run time (key_table.h), good until then. Takes the reference over, also when there is no
 * memory: ERR_MEMORY. */
int principal_by_live_key(const struct config *config, struct live_key *key, uint32_t generation, int64_t until_s,
                          struct principal **ret_principal);
/* A member of a channel on another hub (presence.h): user and info are copied, and it may do nothing. NULL: no memory. */
struct principal *principal_elsewhere(struct slice user, struct slice info);
struct principal *principal_ref(struct principal *p);
void              principal_unref(struct principal *p);     /* NULL is fine */

/* 0; ERR_UNAUTHENTICATED when nobody in particular asks; ERR_FORBIDDEN. `channel`: a channel, or a pattern, of which all must be
 * granted; empty: all channels (OP_ADMIN). Who has no credentials may nothing in channels whose rule says anonymous = no. */
int          principal_may(const struct principal *p, enum access_op op, struct slice channel);
struct slice principal_user(const struct principal *p);     /* empty: no user */
struct slice principal_info(const struct principal *p);     /* JSON that others may see (presence); empty: none */
struct slice principal_name(const struct principal *p);     /* for logs: "anonymous", "dev", "key backend", "user ann", "token" */
bool         principal_is_nobody(const struct principal *p);      /* made of no credentials */
/* A user, or nobody in particular: what rules say of clients is for both, whatever port they come to. */
bool         principal_is_client(const struct principal *p);
/* The key it holds is not one of the settings, though it was one of those that it was made from. */
bool         principal_key_is_gone(const struct principal *p, const struct config *config);
struct slice principal_key(const struct principal *p);      /* the name of its API key; empty: none */
struct slice principal_tier(const struct principal *p);     /* whose rates it has, by its key or its token; empty: those of [rates] */
int64_t      principal_expires_s(const struct principal *p);/* seconds since 1970; INT64_MAX: never */
const struct token *principal_token(const struct principal *p);   /* what it said; NULL: not of a token */
/* The key made at run time, and which of its secrets; NULL: not of one. */
const struct live_key *principal_live_key(const struct principal *p, uint32_t *ret_generation);
void         principal_note_use(const struct principal *p, int64_t now_s);      /* of such a key: it is used now */
