/* store_schema.h — what the database looks like, and how an older one becomes that.
 *
 *   log    last (primary key), messages: a block (store_block.h) and the number of its last message
 *          append-only; no index by channel: histories are rebuilt in memory at start, and commits are ten times as fast
 *   records  kind, key (primary key), value: administrative settings (hub/records.h); few, so a tree by key is right for them
 *   purges   channel (primary key), upto: of this channel no message up to that number is to be given, until `trim` has passed it
 *   meta   one row: epoch, reserved, floor, trim · which channels have history: keeping (hub/keeping.h) · how the last run ended: clean, sync, boot · is it a copy: stamp, inode, born
 *          · probes, counted only to be written
 *
 * The version is user_version in the file's header, application_id says whose file it is.
 * Threading: the store's opening. */
#pragma once
#include "hub/store/store_sql.h"

enum { STORE_APPLICATION_ID = 0x4361726c };      /* "Carl" */

/* Checks whose database it is and how old, turns on the write-ahead log, migrates. 0; ERR_STORE_OPEN; ERR_STORE_VERSION,
 * which leaves a newer file as it is. */
int store_schema_open(sqlite3 *conn, const char *path, struct store_why *why);
