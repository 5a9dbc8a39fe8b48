/* See terminal.h. */
#include "vmm/host/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

/* Signals that end the process by default, and come from a defect or from somebody who wants a dump of memory. */
static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGQUIT, SIGXCPU};
#define FATAL (sizeof fatal / sizeof fatal[0])

struct raw_terminal {
    atomic_bool is_raw; /* set when the rest is complete */
    struct termios before, raw;
    struct sigaction old_actions[FATAL];
};

/* For the handlers, which get nothing else. NULL until the terminal was made raw for the first time. */
static struct raw_terminal *_Atomic raw_terminal;

/* A process in the background is stopped by SIGTTOU when it sets the terminal, unless it blocks the signal (POSIX,
 * tcsetattr). Restoring must not stop us at the very end. */
static void set_terminal(const struct termios *settings)
{
    sigset_t block, mask;

    sigemptyset(&block);
    sigaddset(&block, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &block, &mask);
    while (tcsetattr(STDIN_FILENO, TCSANOW, settings) < 0 && errno == EINTR)
        ;
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

/* Whether the instruction that the signal is of would be done again, and the signal come again by itself. The kernel
 * sends others, too, as when the time of the processor is used up (SIGXCPU), and says the same of their origin. */
static bool comes_again(int number, const siginfo_t *information)
{
    return information->si_code > 0 && (number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE);
}

/* Then the signal does what it would have done: a fault comes again when its instruction is done again; any other is
 * sent again, and comes when this handler returns. */
static void on_fatal(int number, siginfo_t *information, void *context)
{
    const struct raw_terminal *terminal = atomic_load(&raw_terminal);

    (void)context;
    terminal_restore();
    for (unsigned i = 0; i < FATAL; i++) {
        if (fatal[i] == number)
            sigaction(number, &terminal->old_actions[i], NULL);
    }
    if (!comes_again(number, information))
        raise(number);
}

static void catch_fatal(struct raw_terminal *terminal)
{
    struct sigaction action = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    sigfillset(&action.sa_mask);
    for (unsigned i = 0; i < FATAL; i++) {
        struct sigaction old;
        sigaction(fatal[i], NULL, &old);
        if (old.sa_sigaction == on_fatal || old.sa_handler == SIG_IGN)
            continue;
        terminal->old_actions[i] = old;
        sigaction(fatal[i], &action, NULL);
    }
}

static struct raw_terminal *the_terminal(struct error *error)
{
    struct raw_terminal *terminal = atomic_load(&raw_terminal);

    if (!terminal)
        terminal = calloc(1, sizeof *terminal);
    if (!terminal)
        error_set(error, ERROR_HOST, "out of memory");
    atomic_store(&raw_terminal, terminal);
    return terminal;
}

/* Output keeps being processed as it was: a guest's "\r\n" looks the same, and our own messages still begin at the left
 * edge. */
int terminal_make_raw(struct error *error)
{
    struct raw_terminal *terminal = the_terminal(error);

    if (!terminal)
        return -1;
    if (tcgetattr(STDIN_FILENO, &terminal->before) < 0)
        return error_errno(error, "cannot read the terminal's settings");
    terminal->raw = terminal->before;
    cfmakeraw(&terminal->raw);
    terminal->raw.c_oflag = terminal->before.c_oflag;
    catch_fatal(terminal);
    atomic_store(&terminal->is_raw, true);
    if (tcsetattr(STDIN_FILENO, TCSANOW, &terminal->raw) == 0)
        return 0;
    error_errno(error, "cannot put the terminal into raw mode");
    terminal_restore();
    return -1;
}

static struct raw_terminal *find_raw(void)
{
    struct raw_terminal *terminal = atomic_load(&raw_terminal);

    return terminal && atomic_load(&terminal->is_raw) ? terminal : NULL;
}

/* The flag is taken back only afterwards, so that one who is called in the middle of this does it all again. */
void terminal_restore(void)
{
    struct raw_terminal *terminal = find_raw();
    int kept = errno;

    if (!terminal)
        return;
    set_terminal(&terminal->before);
    atomic_store(&terminal->is_raw, false);
    errno = kept;
}

void terminal_suspend(void)
{
    const struct raw_terminal *terminal = find_raw();

    if (terminal)
        set_terminal(&terminal->before);
}

void terminal_resume(void)
{
    const struct raw_terminal *terminal = find_raw();

    if (!terminal || tcgetpgrp(STDIN_FILENO) != getpgrp())
        return;
    set_terminal(&terminal->raw);
    /* It may have been restored for good meanwhile, by another thread. */
    if (!find_raw())
        set_terminal(&terminal->before);
}
