/* config_value.h — what may be written for a key, and what it means.
 *
 * Private to hub/config*.c and their tests. Every TYPE has one row: how its form is described to people, how it is read and how
 * it is printed. Reading what was printed gives the same value, so printed values are compared and carried over on reload.
 * Threading: pure functions over the snapshot they are given. */
#pragma once
#include "hub/config/config_key.h"
#include "hub/config/config_snapshot.h"

/* Sets the key's member; a LIST takes `text` whole, or behind what it has with `append`. 0, or ERR_CONFIG with the end of a
 * sentence that begins with the value in *why ("is not a number"), and the member as before. */
int  config_value_read(struct config_snapshot *snapshot, const struct config_key *key, const char *text, bool append, struct buf *why);
/* The same for a member elsewhere, of the type that `key` has; a LIST is taken whole. */
int  config_value_read_into(struct config_snapshot *snapshot, const struct config_key *key, const char *text, void *member, struct buf *why);
void config_value_print(const struct config *config, const struct config_key *key, struct buf *out);
void config_value_print_from(const struct config_key *key, const void *member, struct buf *out);

const char *config_type_name(const struct config_key *key);    /* "duration" */
const char *config_type_form(const struct config_key *key);    /* "250ms, 5s, 10m, …"; of an ENUM its values */
