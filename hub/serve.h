/* serve.h — `carillon serve`: the hub thread and its loop, from opening the store to the last commit.
 *
 *   store ─> hub ─> spokes open ─> first block of numbers is reserved ─> spokes start ─> ready line ─> loop
 *   SIGTERM, SIGINT ─> drain (drain.timeout at most) ─> spokes stop ─> last groups commit ─> store closes clean
 *
 * Threading  the calling thread becomes the hub thread. */
#pragma once
#include <stddef.h>

struct config;
struct spoke;

/* Returns the exit status: 0 after a drain, 1 when it could not start (one clear sentence was printed to standard error). */
int serve_run(const struct config *config, const struct spoke *const *spokes, size_t n_spokes);
