/* version.h — what this is called on the command line, in metrics and in headers. */
#pragma once

#define CARILLON_VERSION "0.1.0"
