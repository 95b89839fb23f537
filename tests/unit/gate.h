/* gate.h — where threads stop while it is shut: a test decides when something under it goes on.
 *
 * Threading: any thread shuts, opens and passes. */
#pragma once
#include <pthread.h>
#include <stdbool.h>

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t  opened;
    bool            shut;
};

#define GATE_OPEN { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false }

static inline void gate_shut(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->shut = true;
    pthread_mutex_unlock(&gate->mutex);
}

static inline void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->shut = false;
    pthread_cond_broadcast(&gate->opened);
    pthread_mutex_unlock(&gate->mutex);
}

/* At once, or when it is opened. */
static inline void gate_pass(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    while (gate->shut)
        pthread_cond_wait(&gate->opened, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}
