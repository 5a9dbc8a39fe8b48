/*
 * user: a kernel whose programs run at CPL 3, each in its own address space, under a timer. On a host where kernel code
 * is emulated, this is the guest that runs at the processor's own speed.
 *
 * Options: tasks=NUMBER (1 to 4, default 2), rounds=NUMBER for each (default 500, a bit under a million instructions
 * each), hz=RATE of the timer (default 100), ticks=NUMBER (default 0: the tasks last until so many timer ticks have
 * come at least), fault (the first task writes to the kernel's memory at its end, and is killed). Exit values: 0 when
 * every task ended well, 1 when one did not or was killed.
 */
#include <stdbool.h>
#include <stddef.h>

#include "guests/runtime/console.h"
#include "guests/runtime/cpu.h"
#include "guests/runtime/exit.h"
#include "guests/runtime/interrupts.h"
#include "guests/runtime/options.h"
#include "guests/runtime/runtime.h"
#include "guests/runtime/timer.h"
#include "guests/user/syscall.h"
#include "guests/user/tasks.h"

#define CPL_MASK   3u
#define UD2_LENGTH 2u
#define WRITE_MAX  4096u
#define PORT_POST  0x80 /* a write is a delay on a PC, and nothing else */

/* In .bss, as its page tables must be: identity-mapped, aligned. */
static struct tasks all_tasks;

static int64_t write_console(const struct task *task, uint64_t address, uint64_t length)
{
    if (length > WRITE_MAX || address < task->area || address - task->area > USER_AREA - length)
        return -1;
    console_write((const char *)address, length);
    return (int64_t)length;
}

/* What waits comes in here, so that the time is up to date. The port access is for a monitor that runs programs
 * natively and knows no place in them: it is one where an interrupt can be given. The processor's line is looked at
 * after it. */
static void let_interrupts_in(void)
{
    interrupts_on();
    port_out8(PORT_POST, 0);
    interrupts_off();
}

static struct frame *system_call(struct tasks *tasks, struct frame *frame)
{
    frame->rip += UD2_LENGTH;
    switch (frame->rax) {
    case SYSCALL_WRITE:
        frame->rax = (uint64_t)write_console(tasks->running, frame->rdi, frame->rsi);
        return frame;
    case SYSCALL_EXIT:
        return tasks_end(tasks, frame, frame->rdi & 0xff);
    case SYSCALL_YIELD:
        frame->rax = 0;
        return tasks_switch(tasks, frame);
    case SYSCALL_TIME:
        let_interrupts_in();
        frame->rax = timer_ticks();
        return frame;
    default:
        frame->rax = (uint64_t)-1;
        return frame;
    }
}

/* Other instructions are invalid too: it must be UD2, in the program's own page. */
static bool is_system_call(const struct frame *frame)
{
    if (frame->vector != VECTOR_INVALID_OPCODE || frame->rip < USER_PROGRAM || frame->rip > USER_MEMORY - UD2_LENGTH)
        return false;
    const uint8_t *code = (const uint8_t *)frame->rip;
    return code[0] == 0x0f && code[1] == 0x0b;
}

/* An exception: at CPL 3 a system call or the task's own fault, else ours. */
static struct frame *on_exception(struct frame *frame, void *context)
{
    struct tasks *tasks = context;
    if ((frame->cs & CPL_MASK) != 3)
        interrupts_panic(frame);
    if (is_system_call(frame))
        return system_call(tasks, frame);
    uint64_t address = read_cr2();
    unsigned number = (unsigned)(tasks->running - tasks->task);
    if (frame->vector == VECTOR_PAGE_FAULT)
        console_print("task %u: page fault at 0x%lx, error 0x%lx, rip 0x%lx: killed\n", number, address, frame->error,
                      frame->rip);
    else
        console_print("task %u: exception %lu, rip 0x%lx: killed\n", number, frame->vector, frame->rip);
    return tasks_end(tasks, frame, TASK_KILLED);
}

static struct frame *on_tick(struct frame *frame, void *context)
{
    return tasks_switch(context, frame);
}

static uint32_t report(const struct tasks *tasks)
{
    unsigned good = 0;
    for (unsigned i = 0; i < tasks->count; i++)
        good += tasks->task[i].status == 0;
    console_print("user: %u of %u tasks ended well\n", good, tasks->count);
    return good == tasks->count ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* As 64-bit kernels have them. A return to CPL 3 takes a segment away that CPL 3 may not use (SDM volume 2, IRET); not
 * every KVM does, and so the kernel's are not there for it to forget. */
static void drop_data_segments(void)
{
    __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es\n\tmov %0, %%fs\n\tmov %0, %%gs" : : "r"(0));
}

uint32_t guest_main(const struct boot_info *info)
{
    drop_data_segments();
    unsigned count = (unsigned)option_number("tasks", 2, 1, USER_TASKS);
    struct task_arguments arguments = {.rounds = option_number("rounds", 500, 0, 1000000000),
                                       .ticks = option_number("ticks", 0, 0, 1000000000),
                                       .fault = option_given("fault")};
    unsigned hz = (unsigned)option_number("hz", 100, TIMER_HZ_MIN, 10000);
    if (info->ram_size < USER_MEMORY + count * USER_AREA) {
        console_print("user: %u tasks need %lu MiB of memory\n", count, (USER_MEMORY + count * USER_AREA) >> 20);
        return EXIT_USAGE;
    }
    struct tasks *tasks = &all_tasks;
    tasks_create(tasks, count, &arguments);
    for (unsigned vector = 0; vector < VECTOR_IRQ0; vector++)
        interrupts_handle(vector, on_exception, tasks);
    timer_start(hz, on_tick, tasks);
    while (!tasks_all_done(tasks)) {
        interrupts_off();
        interrupts_wait();
    }
    interrupts_off();
    return report(tasks);
}
