/*
 * The terminal of the process, while it is in raw mode, and how it gets its settings back whatever becomes of us.
 *
 * There is one terminal and one state of it, and handlers of signals need it: this is the one place besides the flags
 * of signals where something of ours is global.
 */
#ifndef ENCORE_VMM_HOST_TERMINAL_H
#define ENCORE_VMM_HOST_TERMINAL_H

#include "base/error.h"

/* Puts the terminal of standard input into raw mode: every key is passed on, even Ctrl-C, at once and without echo.
 * From here on a process that dies of a fault, of abort or of SIGQUIT restores it first. Returns 0, or -1 with the
 * error. */
int terminal_make_raw(struct error *error);

/* Gives the terminal its settings back, if it is raw. Async-signal-safe; may be called from any thread and again. */
void terminal_restore(void);

/* Before the process stops (SIGTSTP), and after it was continued: as terminal_restore, and raw again if the process is
 * in the foreground. Nothing when the terminal was not made raw, or was restored for good. Async-signal-safe. */
void terminal_suspend(void);
void terminal_resume(void);

#endif
