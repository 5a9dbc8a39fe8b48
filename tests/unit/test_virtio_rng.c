/* The virtio entropy device against virtio 1.2, section 5.4. */
#include "tests/unit/virtio_testing.h"

#include "vmm/devices/virtio_rng.h"

struct machine {
    struct virtio_rng rng;
    struct guest guest;
    unsigned calls;
    size_t drawn;
};

static void count(void *context, uint8_t *bytes, size_t length)
{
    struct machine *machine = context;

    machine->calls++;
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)++machine->drawn;
}

static void machine_init(void *device)
{
    struct machine *machine = device;

    machine->calls = 0;
    machine->drawn = 0;
    struct virtio_wires wires = guest_wires(&machine->guest, &machine->rng.virtio);
    virtio_rng_init(&machine->rng, (struct entropy_source){.fill = count, .context = machine}, &wires);
}

static void offer(struct machine *machine, uint32_t length, uint16_t flags)
{
    guest_describe(&machine->guest, 0, 0, GUEST_BUFFERS, length, flags, 0);
    guest_offer(&machine->guest, 0, 0);
    guest_notify(&machine->guest, 0);
}

static void fills_buffers(void **unused)
{
    (void)unused;
    struct machine machine;
    struct guest *guest = &machine.guest;
    machine_init(&machine);
    assert_int_equal(pci_config_get(&machine.rng.virtio.function, PCI_VENDOR_ID, 4), 0x10441af4);
    assert_int_equal(guest_offered(guest), 0x130000000);
    assert_int_equal(guest_in(guest, 0x2000, 4), 0);
    guest_out(guest, 0x2000, 4, 1); /* it has no configuration */
    guest_start(guest, 0);
    offer(&machine, 64, WRITE);
    assert_int_equal(machine.calls, 1);
    assert_int_equal(machine.drawn, 64);
    assert_int_equal(guest_load(guest, GUEST_BUFFERS, 4), 0x04030201);
    assert_int_equal(guest_written(guest, 0, 0), 64);
    offer(&machine, 1000, WRITE); /* no more than 256 */
    assert_int_equal(machine.drawn, 64 + 256);
    assert_int_equal(guest_written(guest, 0, 1), 256);
    assert_int_equal(guest_load(guest, GUEST_BUFFERS + 256, 1), 0);
    offer(&machine, 64, 0); /* nothing to write into, nothing drawn */
    assert_int_equal(guest_written(guest, 0, 2), 0);
    assert_int_equal(machine.calls, 2);
    assert_false(guest_needs_reset(guest));
    guest_describe(guest, 0, 0, GUEST_MEMORY - 1, 2, WRITE, 0);
    guest_offer(guest, 0, 0);
    guest_notify(guest, 0);
    assert_true(guest_needs_reset(guest));
}

static void machine_state(void *device, struct state *state)
{
    struct machine *machine = device;

    virtio_rng_state(&machine->rng, state);
    guest_state(&machine->guest, state);
    state_bytes(state, "drawn", &machine->drawn, sizeof machine->drawn);
}

static void own_state(void *device, struct state *state)
{
    struct machine *machine = device;

    virtio_rng_state(&machine->rng, state);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    struct machine *machine = device;

    (void)now;
    return guest_operate(&machine->guest, dice);
}

static const struct subject subject = {sizeof(struct machine), machine_init, machine_state, operate};
static const struct subject own = {sizeof(struct machine), machine_init, own_state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_buffers),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
