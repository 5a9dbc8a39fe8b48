/* See bench_guest.h. */
#include "bench/bench_guest.h"

#include <stdio.h>
#include <stdlib.h>

#include "vmm/host/clock.h"

/* A door with nothing behind it: time stands still, no entropy, and what the guest prints is lost. */
static uint64_t no_clock(void *context, uint64_t now)
{
    (void)context;
    return now;
}

static void no_entropy(void *context, uint8_t *bytes, size_t length)
{
    (void)context;
    for (size_t i = 0; i < length; i++)
        bytes[i] = 0;
}

static void no_output(void *context, uint8_t channel, uint8_t byte)
{
    (void)context, (void)channel, (void)byte;
}

static bool no_stop(void *context)
{
    (void)context;
    return false;
}

void bench_fail(const char *what, const struct error *error)
{
    fprintf(stderr, "bench: %s: %s\n", what, error->text);
    exit(1);
}

void bench_print_ms(const char *name, uint64_t ns)
{
    printf("%s %.3f\n", name, (double)ns / 1e6);
}

void bench_guest_create(struct guest *guest, const char *engine, uint64_t ram_size, const char *image,
                        uint64_t *engine_done)
{
    const struct door door = {
        .read_clock = no_clock, .entropy = no_entropy, .console_output = no_output, .exit_served = no_stop};
    struct error error = {0};

    *guest = (struct guest){.description = {.ram_size = ram_size, .protocol = BOOT_AUTO}};
    guest_choose_engine(guest, engine, false, &error);
    if (!guest->engine)
        bench_fail("engine", &error);
    if (engine_done)
        *engine_done = host_clock_now();
    if (image && guest_read_image(guest, image, &error) < 0)
        bench_fail("image", &error);
    if (guest_create_machine(guest, &door, &error) < 0)
        bench_fail("machine", &error);
}
