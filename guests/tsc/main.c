/*
 * tsc: reads the time stamp counter all the time, under a timer, and tells whether it ever went back, and whether the
 * timer was ever early by it. Random numbers of RDRAND, where CPUID has it, go into the same checksum as all that was
 * read, so two runs that print the same line saw the same time at every instruction.
 *
 * Options: hz=RATE of the timer (default 1000), ticks=NUMBER after which it ends (default 20).
 * Prints "tsc: R reads, B back, E early, checksum C" and exits with 0; with 1 unless B and E are 0.
 */
#include <stdbool.h>

#include "guests/runtime/console.h"
#include "guests/runtime/cpu.h"
#include "guests/runtime/exit.h"
#include "guests/runtime/options.h"
#include "guests/runtime/runtime.h"
#include "guests/runtime/timer.h"

#define PIT_HZ        UINT64_C(1193182)
#define CPUID_TSC     0x15u      /* leaf: the counter's frequency */
#define CPUID_RDRAND  (1u << 30) /* leaf 1, ECX */
#define READS_A_PAUSE 5000

struct watch {
    uint64_t hertz; /* of the counter; 0: not known */
    uint64_t divisor;
    uint64_t start, last;
    uint64_t reads, back, early;
    uint64_t checksum;
};

static void cpuid(uint32_t leaf, uint32_t out[4])
{
    __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(0));
}

static uint64_t read_tsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static uint64_t tsc_hertz(void)
{
    uint32_t out[4];

    cpuid(0, out);
    if (out[0] < CPUID_TSC)
        return 0;
    cpuid(CPUID_TSC, out);
    return out[0] ? (uint64_t)out[2] * out[1] / out[0] : 0;
}

static void mix(struct watch *watch, uint64_t value)
{
    watch->checksum = (watch->checksum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    watch->checksum ^= watch->checksum >> 29;
}

/* With interrupts off. */
static void look(struct watch *watch)
{
    uint64_t now = read_tsc();

    watch->back += now < watch->last;
    watch->last = now;
    watch->reads++;
    mix(watch, now);
}

/* In the handler of the n-th tick at least n - 1 periods have passed: one tick comes of programming the 8254, whose
 * output then rises. */
static struct frame *on_tick(struct frame *frame, void *context)
{
    struct watch *watch = context;

    look(watch);
    /* In microseconds, to stay within 64 bits for hours. */
    uint64_t passed = (watch->last - watch->start) / (watch->hertz ? watch->hertz / 1000000 : 1);
    watch->early += watch->hertz && (passed + 1) * PIT_HZ < (timer_ticks() - 1) * watch->divisor * 1000000;
    mix(watch, frame->rip);
    return frame;
}

static void draw(struct watch *watch)
{
    uint32_t out[4];
    uint64_t value;
    uint8_t there;

    cpuid(1, out);
    for (unsigned i = 0; i < 4 && (out[2] & CPUID_RDRAND); i++) {
        __asm__ volatile("rdrand %0; setc %1" : "=r"(value), "=qm"(there) : : "cc");
        mix(watch, there ? value : 0);
    }
}

uint32_t guest_main(const struct boot_info *info)
{
    static struct watch watch;
    unsigned hz = (unsigned)option_number("hz", 1000, TIMER_HZ_MIN, TIMER_HZ_MAX);
    uint64_t ticks = option_number("ticks", 20, 1, 1000000000);

    (void)info;
    watch.hertz = tsc_hertz();
    watch.divisor = PIT_HZ / hz;
    watch.start = watch.last = read_tsc();
    timer_start(hz, on_tick, &watch);
    while (timer_ticks() < ticks) {
        draw(&watch);
        for (unsigned i = 0; i < READS_A_PAUSE; i++) {
            interrupts_off();
            look(&watch);
            interrupts_on();
        }
        interrupts_off();
        interrupts_wait();
    }
    interrupts_off();
    console_print("tsc: %lu reads, %lu back, %lu early, checksum %016lx\n", watch.reads, watch.back, watch.early,
                  watch.checksum);
    return watch.back || watch.early ? EXIT_FAILURE : EXIT_SUCCESS;
}
