/* Threads beside the machine's. */
#ifndef ENCORE_BASE_THREAD_H
#define ENCORE_BASE_THREAD_H

#include <pthread.h>

#include "base/error.h"

/* For the beginning of main: threads, those of libraries too, get a stack of a fixed size, whatever limit the process
 * was started with (ulimit -s). */
void thread_set_stack(void);

/* Starts a thread that takes no signals, for they are for others; but for those that a fault of its own brings about.
 * Returns 0, or -1 with the error. */
int thread_start(pthread_t *thread, void *(*function)(void *), void *argument, struct error *error);

#endif
