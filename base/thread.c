/* See thread.h. */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>

int thread_start(pthread_t *thread, void *(*function)(void *), void *argument, struct error *error)
{
    sigset_t all, before;

    /* A new thread inherits the mask (pthread_create(3)). */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(thread, NULL, function, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = failed;
    return failed ? error_errno(error, "cannot start a thread") : 0;
}
