/* Threads beside the machine's. */
#ifndef ENCORE_VMM_HOST_THREAD_H
#define ENCORE_VMM_HOST_THREAD_H

#include <pthread.h>

#include "base/error.h"

/* Starts a thread that takes no signals: they are for others. Returns 0, or -1 with the error. */
int host_thread_start(pthread_t *thread, void *(*function)(void *), void *argument, struct error *error);

#endif
