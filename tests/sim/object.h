/* object.h — a JSON object the hub has sent, read member by member.
 *
 * Lifetime   borrows its text; strings live until object_fini. */
#pragma once
#include "hub/base/json.h"

struct object {
    struct json_object members;
    struct buf         strings;      /* all that were asked for, each with its NUL */
};

bool        object_init(struct object *object, struct slice text);      /* false: not a JSON object */
void        object_fini(struct object *object);
bool        object_has(const struct object *object, const char *member);
const char *object_string(struct object *object, const char *member);   /* "": not there, or no string. Valid until the next */
bool        object_true(const struct object *object, const char *member);
int         object_int(const struct object *object, const char *member);
struct slice object_get(const struct object *object, const char *member);
int         object_channel(struct object *object);      /* `channel`; NO_CHANNEL: none of ours */
/* The tag of the payload in `data` (writer.h). */
uint32_t    object_tag(struct object *object);
/* `channels`: an array of names, or of objects with a member channel; those alone whose member `flag` is true (NULL: all). */
uint16_t     object_channels(const struct object *object, const char *flag);
