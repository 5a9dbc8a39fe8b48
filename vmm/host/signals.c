/* See signals.h. */
#include "vmm/host/signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/thread.h"
#include "vmm/host/clock.h"
#include "vmm/host/terminal.h"

/* Signals that follow each other more closely are one wish. */
#define WISH_APART UINT64_C(500000000)

struct signals {
    sigset_t taken; /* the signals that the thread waits for */
    unsigned wishes;
    int fd;
    atomic_bool came;
};

void signals_ignore_write_faults(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

/* Dies of the signal, so that whoever started us learns it. */
static void die_of(int number)
{
    sigset_t one;

    terminal_restore();
    sigemptyset(&one);
    sigaddset(&one, number);
    raise(number);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
}

/* SIGTSTP stops the process when this thread lets it in, unless there is nobody who could continue it (POSIX: an
 * orphaned process group); what follows is done when the process goes on. */
static void stop(void)
{
    sigset_t one;

    terminal_suspend();
    sigemptyset(&one);
    sigaddset(&one, SIGTSTP);
    raise(SIGTSTP);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    pthread_sigmask(SIG_BLOCK, &one, NULL);
    terminal_resume();
}

static void *take_signals(void *argument)
{
    struct signals *signals = argument;
    uint64_t last = 0;

    for (;;) {
        int number = sigwaitinfo(&signals->taken, NULL);
        if (number == SIGTSTP) {
            stop();
        } else if (number == SIGCONT) {
            terminal_resume();
        } else if (number > 0) {
            uint64_t now = host_clock_now();
            if (atomic_load(&signals->came) && now - last < WISH_APART)
                continue;
            last = now;
            if (signals->wishes == 0)
                die_of(number);
            signals->wishes--;
            atomic_store(&signals->came, true);
            int failed = eventfd_write(signals->fd, 1);
            CHECK(failed == 0);
        }
    }
    return NULL;
}

/* A blocked signal is kept even where it is ignored (Linux: whether it is will be seen when it is let in), so those
 * that are ignored must not be waited for. */
static void add_unless_ignored(sigset_t *set, int number)
{
    struct sigaction action;

    if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
        sigaddset(set, number);
}

struct signals *signals_hold(unsigned wishes, struct error *error)
{
    struct signals *signals = malloc(sizeof *signals);
    pthread_t thread;

    if (!signals) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    *signals = (struct signals){.wishes = wishes, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    sigemptyset(&signals->taken);
    sigaddset(&signals->taken, SIGCONT);
    add_unless_ignored(&signals->taken, SIGINT);
    add_unless_ignored(&signals->taken, SIGTERM);
    add_unless_ignored(&signals->taken, SIGHUP);
    add_unless_ignored(&signals->taken, SIGTSTP);
    if (signals->fd < 0) {
        error_errno(error, "cannot wait for signals");
    } else {
        pthread_sigmask(SIG_BLOCK, &signals->taken, NULL);
        if (thread_start(&thread, take_signals, signals, error) == 0) {
            pthread_detach(thread);
            return signals;
        }
        pthread_sigmask(SIG_UNBLOCK, &signals->taken, NULL);
        close(signals->fd);
    }
    free(signals);
    return NULL;
}

int signals_fd(const struct signals *signals)
{
    return signals->fd;
}

bool signals_came(const struct signals *signals)
{
    return signals && atomic_load(&signals->came);
}
