/* public.h — the spoke of the public port: the edges with their threads, and the acceptor that feeds them. */
#pragma once
#include "hub/spoke.h"

extern const struct spoke public_spoke;
