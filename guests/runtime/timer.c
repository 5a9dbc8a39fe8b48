/* The 8254 (Intel 8254 data sheet, mode 2, rate generator); see timer.h. */
#include "guests/runtime/timer.h"

#include "guests/runtime/cpu.h"

#define PIT_CHANNEL0      0x40
#define PIT_CONTROL       0x43
#define PIT_HZ            1193182u
#define PIT_MODE2_LSB_MSB 0x34 /* channel 0, low then high byte, mode 2, binary */
#define TIMER_IRQ         0

static struct {
    volatile uint64_t ticks;
    interrupt_fn *handler;
    void *context;
} timer;

static struct frame *on_tick(struct frame *frame, void *context)
{
    (void)context;
    timer.ticks = timer.ticks + 1;
    return timer.handler ? timer.handler(frame, timer.context) : frame;
}

void timer_start(unsigned hz, interrupt_fn *handler, void *context)
{
    unsigned divisor = (PIT_HZ + hz / 2) / hz;
    if (divisor > 0xffff)
        divisor = 0xffff;
    timer.ticks = 0;
    timer.handler = handler;
    timer.context = context;
    port_out8(PIT_CONTROL, PIT_MODE2_LSB_MSB);
    port_out8(PIT_CHANNEL0, (uint8_t)divisor);
    port_out8(PIT_CHANNEL0, (uint8_t)(divisor >> 8));
    interrupts_handle_irq(TIMER_IRQ, on_tick, NULL);
}

uint64_t timer_ticks(void)
{
    return timer.ticks;
}
