/*
 * The control socket: where an operator's orders come from while a guest runs.
 *
 * A Unix-domain stream socket that only its owner may connect to (unix_listener.h). A client sends one line and gets
 * one line back, whereupon it is disconnected. What the lines say is not this file's business. Clients that send
 * nothing, or more than a line may have, lose their place to others.
 */
#ifndef ENCORE_VMM_HOST_CONTROL_H
#define ENCORE_VMM_HOST_CONTROL_H

#include <stddef.h>

#include "base/error.h"

/* The longest line, without its end. */
#define CONTROL_LINE 4096

struct control;

/* `specification`: unix:PATH. NULL with the error. */
struct control *control_open(const char *specification, struct error *error);
/* NULL is allowed. */
void control_close(struct control *control);

/* A descriptor that polls readable when control_next, which has returned NULL before, has something to do again. */
int control_poll_fd(const struct control *control);

/* The next line that has come, ended by a zero; NULL when there is none now. It must be answered before the next call.
 */
const char *control_next(struct control *control, size_t *length);

/* Answers it with one line, to which the newline is added. */
void control_answer(struct control *control, const char *line);

#endif
