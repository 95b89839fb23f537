/* thread.h — starts a thread that gets no signals: those are the main thread's, whose loop waits for them.
 *
 * Threading: any. Lifetime: whoever starts it joins it. */
#pragma once
#include <pthread.h>

/* `name` is what tools like top show, at most 15 bytes. 0 or an errno. */
int thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *arg), void *arg);
