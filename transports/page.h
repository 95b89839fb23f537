/* page.h — the page at / of the public port in --dev, compiled in. Source: transports/page/index.html. */
#pragma once
#include "hub/base/buf.h"

struct slice page_html(void);
