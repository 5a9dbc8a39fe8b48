/*
 * How many instructions a guest executes: the soft engine counts them.
 *
 *     ticks IMAGE COMMAND_LINE
 *
 * Runs the guest with nobody outside of it until it writes to the debug-exit port. Printed: `ticks`, by the definition
 * of docs/soft-engine.md, section 2; and `run`, the milliseconds that it took, in which there is no start and no end.
 */
#include <inttypes.h>
#include <stdio.h>

#include "bench/bench_guest.h"
#include "vmm/host/clock.h"

int main(int argc, char **argv)
{
    struct error error = {0};
    struct guest guest;
    uint64_t ticks;

    if (argc != 3) {
        fprintf(stderr, "usage: ticks IMAGE COMMAND_LINE\n");
        return 2;
    }
    bench_guest_create(&guest, "soft", MACHINE_RAM_DEFAULT, argv[1], NULL);
    snprintf(guest.description.cmdline, sizeof guest.description.cmdline, "%s", argv[2]);
    if (guest_boot(&guest, &error) < 0)
        bench_fail("boot", &error);
    uint64_t start = host_clock_now();
    while (guest.machine.end == MACHINE_RUNS)
        if (machine_run(&guest.machine, NULL, &error) == ENGINE_STOP_ERROR)
            bench_fail("run", &error);
    uint64_t end = host_clock_now();
    if (guest.machine.end != MACHINE_DEBUG_EXIT || guest.machine.exit_value != 0 ||
        engine_get_ticks(guest.engine, &ticks, &error) < 0)
        bench_fail("the guest did not end with success", &error);
    printf("ticks %" PRIu64 "\n", ticks);
    bench_print_ms("run", end - start);
    guest_free(&guest);
    return 0;
}
