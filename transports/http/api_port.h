/* api_port.h — the spoke of the API: its front, registered at the hub. */
#pragma once
#include "hub/spoke.h"

extern const struct spoke api_spoke;
