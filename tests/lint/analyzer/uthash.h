/* uthash as clang's analyzer sees it (make lint, never compiled): of a table from which something was deleted it knows nothing. It would
 * otherwise follow the macro and find pointers that are NULL only in a table that contradicts itself. */
#include_next <uthash.h>

void *analyzer_unknown(const void *deleted);

#undef HASH_DELETE_HH
#define HASH_DELETE_HH(hh, head, deleted) ((head) = analyzer_unknown(deleted))
