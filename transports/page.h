/* page.h — the page at / of the public port in --dev, compiled in. Source: transports/page/index.html.
 *
 * Threading: pure function. Failure is out->failed. */
#pragma once
#include "hub/base/buf.h"

/* With what it tells a shell to call: `api` is where the API is (serving.api). */
void page_add(struct buf *out, const char *api);
