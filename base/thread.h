/* Threads beside the machine's. */
#ifndef ENCORE_BASE_THREAD_H
#define ENCORE_BASE_THREAD_H

#include <pthread.h>

#include "base/error.h"

/* Starts a thread that takes no signals: they are for others. Returns 0, or -1 with the error. */
int thread_start(pthread_t *thread, void *(*function)(void *), void *argument, struct error *error);

#endif
