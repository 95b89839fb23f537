/* tidy.h — gives memory that nobody uses any more back to the kernel.
 *
 * A flood of requests or a crowd of slow readers makes the heap large; when it is over all of it is free, but glibc keeps it: what
 * lies below the last thing in use of a heap stays with the process, and at the first large buffers it moves its own limits up to
 * 32 and 64 MiB. So large buffers get mappings of their own, which end with them, and a thread looks every few seconds whether
 * far more is resident than in use, or memory is short (memory.h); then it has the free pages of all heaps released (malloc_trim).
 * While what is resident does not change it looks less and less often, at last every 24 s.
 *
 * It is a thread of its own because releasing takes milliseconds, which the hub's readers would notice. It asks for no memory.
 *
 * Lifetime   tidy_start before the other threads, tidy_stop after them; one per process.
 * Threading  the hub thread. */
#pragma once

int  tidy_start(void);      /* 0 or ERR_MEMORY */
void tidy_stop(void);       /* fine without start */
