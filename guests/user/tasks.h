/*
 * The tasks of the user guest: a few programs at CPL 3, taken in turn at each timer tick, each yield, and each end.
 *
 * A task that is not running is a struct frame on its own kernel stack. When none is left, the context that started
 * them goes on.
 */
#ifndef GUEST_USER_TASKS_H
#define GUEST_USER_TASKS_H

#include <stdbool.h>
#include <stdint.h>

#include "guests/runtime/interrupts.h"
#include "guests/user/layout.h"
#include "guests/user/paging.h"

struct task {
    struct page_tables tables;
    uint8_t kernel_stack[4096] __attribute__((aligned(16)));
    struct frame *frame; /* where it stands, while it does not run */
    uint64_t area;       /* its memory, USER_AREA bytes */
    bool live;
    uint64_t status; /* of SYSCALL_EXIT, once it is no longer live */
};

#define TASK_KILLED 0x100u /* status of a task that a fault ended */

struct tasks {
    struct task task[USER_TASKS];
    unsigned count;
    struct task *running;  /* NULL: the starter */
    struct frame *starter; /* set while a task runs */
    uint64_t starter_tables;
    uint64_t switches;
};

/* What the programs are told; see program/program.c. */
struct task_arguments {
    uint64_t rounds; /* for each */
    uint64_t ticks;  /* they last at least until then */
    bool fault;      /* of the first */
};

/* Makes `count` tasks ready to run; interrupts are off. */
void tasks_create(struct tasks *tasks, unsigned count, const struct task_arguments *arguments);

/* Saves the interrupted context, and chooses the next live task after the one that runs. Returns the frame to resume.
 */
struct frame *tasks_switch(struct tasks *tasks, struct frame *frame);

/* Ends the running task; returns the frame to resume. */
struct frame *tasks_end(struct tasks *tasks, struct frame *frame, uint64_t status);

bool tasks_all_done(const struct tasks *tasks);

#endif
