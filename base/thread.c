/* See thread.h. */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>

#define STACK (1u << 20)

void thread_set_stack(void)
{
    pthread_attr_t attributes;

    /* Where it fails, threads have the stack that the limit gives them. */
    if (pthread_attr_init(&attributes) != 0)
        return;
    if (pthread_attr_setstacksize(&attributes, STACK) == 0)
        (void)pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
}

int thread_start(pthread_t *thread, void *(*function)(void *), void *argument, struct error *error)
{
    /* A fault whose signal is blocked kills at once (sigprocmask(2)), and then nobody gives the terminal back. */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT};
    sigset_t all, before;

    /* A new thread inherits the mask (pthread_create(3)). */
    sigfillset(&all);
    for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(thread, NULL, function, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = failed;
    return failed ? error_errno(error, "cannot start a thread") : 0;
}
