/* pretty.h — JSON over many lines, for people: two blanks for each level, a member or an element each. Its tokens keep their bytes.
 * Threading: pure function. Limits: linear in the text, times its depth. */
#pragma once
#include "hub/base/buf.h"

/* Appends `json`, which is one valid value. */
void pretty_add(struct buf *out, struct slice json);
