/* hash.h — hash of names that strangers choose: SipHash-1-3 with a key of this process, so that nobody can make
 * thousands of names that collide. (Aumasson, Bernstein: SipHash, 2012; 1-3 rounds as in Rust and Ruby tables.)
 *
 * Threading: any thread after hash_setup(), which main calls first; without it the key is zero (tests that must repeat). */
#pragma once
#include "hub/base/buf.h"

void     hash_setup(void);             /* a random key; aborts if the kernel has no randomness */
uint64_t hash_bytes(struct slice s);
