/*
 * tasks: a race that depends on the exact instruction at which the timer interrupts.
 *
 * Two tasks share a counter and one processor. Each loads the counter, works a little, and stores it plus one; when the
 * timer switches tasks in between, the other's increments are lost. The final value is therefore a fingerprint of every
 * single preemption: two runs that agree on it were, in all likelihood, interrupted at the same instructions. The tasks
 * themselves do nothing that leaves the machine.
 *
 * Options: hz=RATE of the timer (default 250), iterations=NUMBER for each task (default 4000), ticks=NUMBER (default
 * 0): both go on after their iterations until so many timer ticks have come, so that a run of a processor of any speed
 * has that many preemptions. Prints "counter = X of Y", Y being the iterations of both, and exits with 0.
 */
#include <stdbool.h>
#include <stddef.h>

#include "guests/runtime/console.h"
#include "guests/runtime/cpu.h"
#include "guests/runtime/descriptors.h"
#include "guests/runtime/exit.h"
#include "guests/runtime/interrupts.h"
#include "guests/runtime/options.h"
#include "guests/runtime/runtime.h"
#include "guests/runtime/timer.h"

#define TASKS      2
#define TASK_STACK 4096
#define RFLAGS_IF  0x202u

struct task {
    uint8_t stack[TASK_STACK] __attribute__((aligned(16)));
    struct frame *frame; /* where it stands, while it does not run */
    uint64_t iterations; /* that it did */
    volatile bool done;
};

struct scheduler {
    struct task tasks[TASKS];
    struct frame *starter; /* guest_main, which runs again when all tasks are done */
    struct task *running;  /* NULL: guest_main */
};

static struct scheduler scheduler;
static volatile uint64_t counter;
static uint64_t iterations, ticks;

static void task_body(struct task *self)
{
    uint64_t i;
    for (i = 0; i < iterations || timer_ticks() < ticks; i++) {
        uint64_t value = counter;
        /* The window: some work that the compiler cannot drop, during which another task may store. */
        for (unsigned step = 0; step < 8; step++)
            __asm__ volatile("rol $5, %0\n\tror $5, %0" : "+r"(value));
        counter = value + 1;
    }
    self->iterations = i;
    self->done = true;
    for (;;)
        __asm__ volatile("hlt");
}

static void start_task(struct task *task)
{
    struct frame *frame = (struct frame *)(task->stack + TASK_STACK - sizeof(struct frame) - 16);
    *frame = (struct frame){.rip = (uint64_t)task_body,
                            .cs = SELECTOR_KERNEL_CODE,
                            .ss = SELECTOR_KERNEL_DATA,
                            .rflags = RFLAGS_IF,
                            .rdi = (uint64_t)task,
                            /* As after a call: RSP + 8 is a multiple of 16 (System V ABI, 3.2.2). */
                            .rsp = (uint64_t)(task->stack + TASK_STACK - 8)};
    task->frame = frame;
}

/* Each tick goes on with the other task, as long as it is not done. */
static struct frame *on_tick(struct frame *frame, void *context)
{
    struct scheduler *all = context;
    if (all->running)
        all->running->frame = frame;
    else
        all->starter = frame;
    struct task *first = &all->tasks[0], *second = &all->tasks[1];
    struct task *next = all->running == first ? second : first;
    if (next->done)
        next = next == first ? second : first;
    all->running = next->done ? NULL : next;
    return all->running ? next->frame : all->starter;
}

uint32_t guest_main(const struct boot_info *info)
{
    (void)info;
    unsigned hz = (unsigned)option_number("hz", 250, TIMER_HZ_MIN, 10000);
    iterations = option_number("iterations", 4000, 1, 1000000000);
    ticks = option_number("ticks", 0, 0, 1000000000);
    for (unsigned i = 0; i < TASKS; i++)
        start_task(&scheduler.tasks[i]);
    timer_start(hz, on_tick, &scheduler);
    /* The first tick leaves this loop for the tasks; we are back after the last of them. */
    while (!scheduler.tasks[0].done || !scheduler.tasks[1].done) {
        interrupts_off();
        interrupts_wait();
    }
    interrupts_off();
    console_print("counter = %lu of %lu\n", counter, scheduler.tasks[0].iterations + scheduler.tasks[1].iterations);
    return EXIT_SUCCESS;
}
