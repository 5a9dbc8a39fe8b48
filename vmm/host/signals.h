/*
 * Signals that ask the process to end.
 *
 * Until signals_hold, SIGINT, SIGTERM and SIGHUP end the process at once, as they do by default: it has nothing yet
 * that would have to be brought to an end, and nothing to tidy up. A command holds them before it makes the first such
 * thing (a file under a temporary name, a socket, a terminal in raw mode). From then on they are wishes, which a thread
 * takes and a descriptor tells; the command comes to its own, orderly end. A wish that comes when the allowed number of
 * them was used up ends the process at once, as SIGKILL would, but for the terminal, which is given back. Those that
 * come within half a second count once: who interrupts a group of processes often reaches one of them twice.
 *
 * Signals that were ignored when the process began (nohup, a shell's background process) stay so.
 */
#ifndef ENCORE_VMM_HOST_SIGNALS_H
#define ENCORE_VMM_HOST_SIGNALS_H

#include <stdbool.h>

#include "base/error.h"

struct signals;

/* For the beginning of main: a limit on the size of files, and a reader that is gone, are errors of writing (EFBIG,
 * EPIPE) and no reason to die. */
void signals_ignore_write_faults(void);

/* From here on a signal is a wish, `wishes` of them at the most. Once in a process, before it starts threads other than
 * those of base/thread.h, and lasting until it ends. NULL with the error on failure. */
struct signals *signals_hold(unsigned wishes, struct error *error);

/* An eventfd, readable when there was a wish since it was last read; the value is how many. */
int signals_fd(const struct signals *signals);

/* Whether there was any wish. NULL: no signals are held, and there was none. */
bool signals_came(const struct signals *signals);

#endif
