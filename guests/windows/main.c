/*
 * windows: is an interrupt that waits taken as soon as it may be (Intel SDM volume 3, 6.8.1)?
 *
 * With interrupts off it waits until the timer's request stands in the interrupt controller, opens a window of a few
 * instructions, and looks whether the interrupt came in it. Windows of 1, 40 and 200 instructions, `count` of each
 * (1000). The interrupt must come in every one.
 */
#include <stddef.h>

#include "guests/runtime/console.h"
#include "guests/runtime/cpu.h"
#include "guests/runtime/exit.h"
#include "guests/runtime/options.h"
#include "guests/runtime/runtime.h"
#include "guests/runtime/timer.h"

#define PIC_COMMAND  0x20 /* the first 8259 */
#define PIC_READ_IRR 0x0a /* OCW3: the next read gives the request register */
#define TIMER_HZ     10000

static void wait_for_request(void)
{
    port_out8(PIC_COMMAND, PIC_READ_IRR);
    while (!(port_in8(PIC_COMMAND) & 1))
        ;
}

/* STI holds interrupts back for one more instruction: so they are open after the first NOP. */
static void open_1(void)
{
    __asm__ volatile("sti; nop; cli" : : : "memory");
}

static void open_40(void)
{
    __asm__ volatile("sti; .rept 40; nop; .endr; cli" : : : "memory");
}

static void open_200(void)
{
    __asm__ volatile("sti; .rept 200; nop; .endr; cli" : : : "memory");
}

static uint64_t count_missed(uint64_t count, void (*window)(void))
{
    uint64_t missed = 0;

    for (uint64_t n = 0; n < count; n++) {
        uint64_t before = timer_ticks();
        wait_for_request();
        window();
        if (timer_ticks() != before)
            continue;
        missed++;
        interrupts_wait();
        interrupts_off();
    }
    return missed;
}

uint32_t guest_main(const struct boot_info *info)
{
    static const struct {
        unsigned instructions;
        void (*open)(void);
    } windows[] = {{1, open_1}, {40, open_40}, {200, open_200}};
    uint64_t count = option_number("count", 1000, 1, 1000000), missed = 0;

    (void)info;
    timer_start(TIMER_HZ, NULL, NULL);
    for (size_t n = 0; n < sizeof windows / sizeof windows[0]; n++) {
        uint64_t here = count_missed(count, windows[n].open);
        console_print("%lu windows of %u instructions: %lu missed\n", count, windows[n].instructions, here);
        missed += here;
    }
    return missed ? EXIT_FAILURE : EXIT_SUCCESS;
}
