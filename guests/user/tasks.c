/* Tasks at CPL 3; see tasks.h. */
#include "guests/user/tasks.h"

#include <stddef.h>

#include "guests/runtime/cpu.h"
#include "guests/runtime/descriptors.h"

#define RFLAGS_START 0x202u /* interrupts on */

static uint64_t stack_top(struct task *task)
{
    return (uint64_t)(task->kernel_stack + sizeof task->kernel_stack);
}

void tasks_create(struct tasks *tasks, unsigned count, const struct task_arguments *arguments)
{
    tasks->count = count;
    tasks->starter_tables = read_cr3();
    for (unsigned i = 0; i < count; i++) {
        struct task *task = &tasks->task[i];
        task->area = USER_MEMORY + i * USER_AREA;
        paging_build(&task->tables, task->area, USER_AREA);
        task->frame = (struct frame *)(stack_top(task) - sizeof(struct frame));
        *task->frame = (struct frame){.rip = USER_PROGRAM,
                                      .cs = SELECTOR_USER_CODE,
                                      .ss = SELECTOR_USER_DATA,
                                      .rflags = RFLAGS_START,
                                      /* As after a call: RSP + 8 is a multiple of 16. */
                                      .rsp = task->area + USER_AREA - 8,
                                      .rdi = i,
                                      .rsi = arguments->rounds,
                                      .rdx = arguments->fault && i == 0,
                                      .rcx = arguments->ticks};
        task->live = true;
    }
}

static struct task *next_live(struct tasks *tasks)
{
    unsigned current = tasks->running ? (unsigned)(tasks->running - tasks->task) : tasks->count - 1;
    for (unsigned step = 1; step <= tasks->count; step++) {
        struct task *task = &tasks->task[(current + step) % tasks->count];
        if (task->live)
            return task;
    }
    return NULL;
}

struct frame *tasks_switch(struct tasks *tasks, struct frame *frame)
{
    if (tasks->running)
        tasks->running->frame = frame;
    else
        tasks->starter = frame;
    struct task *next = next_live(tasks);
    if (next == tasks->running)
        return frame;
    tasks->running = next;
    tasks->switches++;
    if (!next) {
        write_cr3(tasks->starter_tables);
        return tasks->starter;
    }
    descriptors_set_kernel_stack(stack_top(next));
    paging_use(&next->tables);
    return next->frame;
}

struct frame *tasks_end(struct tasks *tasks, struct frame *frame, uint64_t status)
{
    tasks->running->live = false;
    tasks->running->status = status;
    return tasks_switch(tasks, frame);
}

bool tasks_all_done(const struct tasks *tasks)
{
    for (unsigned i = 0; i < tasks->count; i++) {
        if (tasks->task[i].live)
            return false;
    }
    return true;
}
