/* The virtio block device against virtio 1.2, section 5.2. */
#include "tests/unit/disk_testing.h"
#include "tests/unit/virtio_testing.h"

#include "vmm/devices/virtio_block.h"

#define HEADER GUEST_BUFFERS
#define DATA   (GUEST_BUFFERS + 0x100)
#define STATUS (GUEST_BUFFERS + 0xa00)

enum { IN, OUT, FLUSH = 4, GET_ID = 8, DISCARD = 11 };
enum { OK, IOERR, UNSUPP, UNTOUCHED = 0xee };

struct machine {
    struct virtio_block block;
    struct guest guest;
    struct disk disk;
};

static void machine_init(void *device)
{
    struct machine *machine = device;

    memset(&machine->disk, 0, sizeof machine->disk);
    for (unsigned i = 0; i < sizeof machine->disk.bytes; i++)
        machine->disk.bytes[i] = (uint8_t)(i / DISK_SECTOR + i);
    struct virtio_wires wires = guest_wires(&machine->guest, &machine->block.virtio);
    virtio_block_init(&machine->block, &machine->disk, "encore-disk0", &wires);
}

static void start(struct machine *machine)
{
    machine_init(machine);
    guest_start(&machine->guest, VIRTIO_BLOCK_F_FLUSH);
}

static void put_header(struct machine *machine, uint32_t type, uint64_t sector)
{
    guest_store(&machine->guest, HEADER, 4, type);
    guest_store(&machine->guest, HEADER + 4, 4, 0);
    guest_store(&machine->guest, HEADER + 8, 8, sector);
    guest_store(&machine->guest, STATUS, 1, UNTOUCHED);
}

/* A request as Linux frames it: header, data, status. Returns the status. */
static uint8_t request(struct machine *machine, uint32_t type, uint64_t sector, uint32_t length)
{
    struct guest *guest = &machine->guest;

    put_header(machine, type, sector);
    guest_describe(guest, 0, 0, HEADER, 16, NEXT, length ? 1 : 2);
    guest_describe(guest, 0, 1, DATA, length, NEXT | (type == OUT ? 0 : WRITE), 2);
    guest_describe(guest, 0, 2, STATUS, 1, WRITE, 0);
    guest_offer(guest, 0, 0);
    guest_notify(guest, 0);
    return (uint8_t)guest_load(guest, STATUS, 1);
}

static uint32_t written(struct machine *machine)
{
    return guest_written(&machine->guest, 0, (uint16_t)(guest_used(&machine->guest, 0) - 1));
}

static void says_what_it_is(void **unused)
{
    (void)unused;
    struct machine machine;
    machine_init(&machine);
    assert_int_equal(pci_config_get(&machine.block.virtio.function, PCI_VENDOR_ID, 4), 0x10421af4);
    assert_int_equal(guest_in(&machine.guest, 0x2000, 4), 4); /* capacity */
    assert_int_equal(guest_in(&machine.guest, 0x2004, 4), 0);
    assert_int_equal(guest_in(&machine.guest, 0x2008, 4), 65536);
    assert_int_equal(guest_in(&machine.guest, 0x200c, 4), 254);
    assert_int_equal(guest_in(&machine.guest, 0x2014, 4), 512);
    assert_int_equal(guest_in(&machine.guest, 0x2018, 4), 0);
    assert_int_equal(guest_offered(&machine.guest), 0x130000246);
    machine.disk.read_only = true;
    struct virtio_wires wires = guest_wires(&machine.guest, &machine.block.virtio);
    virtio_block_init(&machine.block, &machine.disk, "", &wires);
    assert_int_equal(guest_offered(&machine.guest), 0x130000266);
}

static void reads_and_writes(void **unused)
{
    (void)unused;
    struct machine machine;
    start(&machine);
    assert_int_equal(request(&machine, IN, 1, 1024), OK);
    assert_memory_equal(machine.guest.memory + DATA, machine.disk.bytes + 512, 1024);
    assert_int_equal(written(&machine), 1025);
    assert_true(machine.guest.pin.level);
    assert_int_equal(guest_in(&machine.guest, VIRTIO_PCI_ISR, 1), 1);
    assert_false(machine.guest.pin.level);
    memset(machine.guest.memory + DATA, 0x5a, 512);
    assert_int_equal(request(&machine, OUT, 3, 512), OK);
    assert_int_equal(written(&machine), 1);
    assert_memory_equal(machine.guest.memory + DATA, machine.disk.bytes + 3 * 512, 512);
    assert_int_equal(machine.disk.bytes[3 * 512 - 1], (uint8_t)(2 + 1535));
    assert_int_equal(guest_used(&machine.guest, 0), 2);
}

static void flushes_and_names(void **unused)
{
    (void)unused;
    struct machine machine;
    start(&machine);
    assert_int_equal(request(&machine, FLUSH, 0, 0), OK);
    assert_int_equal(machine.disk.flushes, 1);
    memset(machine.guest.memory + DATA, 0xff, 24);
    assert_int_equal(request(&machine, GET_ID, 0, 20), OK);
    assert_memory_equal(machine.guest.memory + DATA, "encore-disk0\0\0\0\0\0\0\0\0\xff", 21);
    assert_int_equal(written(&machine), 21);
    assert_int_equal(request(&machine, GET_ID, 0, 4), OK);
    assert_memory_equal(machine.guest.memory + DATA, "enco", 4);
    assert_int_equal(request(&machine, DISCARD, 0, 16), UNSUPP);
    assert_int_equal(written(&machine), 0); /* nothing before the status was written */
}

static void refuses_what_does_not_fit(void **unused)
{
    (void)unused;
    struct machine machine;
    start(&machine);
    assert_int_equal(request(&machine, IN, 4, 512), IOERR);
    assert_int_equal(request(&machine, IN, 3, 1024), IOERR);
    assert_int_equal(request(&machine, OUT, 3, 1024), IOERR);
    assert_int_equal(request(&machine, IN, UINT64_MAX, 512), IOERR);
    assert_int_equal(request(&machine, IN, UINT64_MAX / 512, 512), IOERR);
    assert_int_equal(request(&machine, IN, 0, 511), IOERR);
    assert_int_equal(request(&machine, IN, 4, 0), OK); /* no sectors at all */
    machine.disk.more = UINT32_MAX; /* on the disk, but longer than the device takes: memory is not looked at */
    assert_int_equal(request(&machine, IN, 0, VIRTIO_BLOCK_REQUEST_MAX + 512), IOERR);
    assert_int_equal(request(&machine, OUT, 0, VIRTIO_BLOCK_REQUEST_MAX + 512), IOERR);
    machine.disk.fails = true;
    assert_int_equal(request(&machine, IN, 0, 512), IOERR);
    assert_int_equal(request(&machine, OUT, 0, 512), IOERR);
    assert_int_equal(request(&machine, FLUSH, 0, 0), IOERR);
    assert_int_equal(machine.disk.flushes, 0);
    machine.disk.fails = false;
    machine.disk.read_only = true;
    assert_int_equal(request(&machine, OUT, 0, 512), IOERR);
    assert_int_equal(request(&machine, IN, 0, 512), OK);
    assert_false(guest_needs_reset(&machine.guest));
}

/* 2.7.4: the device makes no assumptions about how the bytes are cut into descriptors. */
static void any_framing(void **unused)
{
    (void)unused;
    struct machine machine;
    struct guest *guest = &machine.guest;
    start(&machine);
    put_header(&machine, IN, 2);
    guest_describe(guest, 0, 3, HEADER, 7, NEXT, 1);
    guest_describe(guest, 0, 1, HEADER + 7, 9, NEXT, 5);
    guest_describe(guest, 0, 5, 0, 0, NEXT | WRITE, 2); /* of no bytes */
    guest_describe(guest, 0, 2, DATA, 100, NEXT | WRITE, 6);
    guest_describe(guest, 0, 6, DATA + 100, 413, WRITE, 0); /* the status ends it */
    guest_offer(guest, 0, 3);
    guest_notify(guest, 0);
    assert_int_equal(guest_used_entry(guest, 0, 0), 3 | UINT64_C(513) << 32);
    assert_memory_equal(guest->memory + DATA, machine.disk.bytes + 1024, 512);
    assert_int_equal(guest->memory[DATA + 512], OK);
}

static void what_cannot_be_answered(void **unused)
{
    (void)unused;
    struct machine machine;
    struct guest *guest = &machine.guest;
    for (unsigned n = 0; n < 4; n++) {
        start(&machine);
        put_header(&machine, IN, 0);
        guest_describe(guest, 0, 0, HEADER, n == 0 ? 15 : 16, NEXT, 1);
        guest_describe(guest, 0, 1, n == 1 ? GUEST_MEMORY - 512 : DATA, 512 + (n == 1), WRITE, 0);
        if (n == 2)
            guest_describe(guest, 0, 0, HEADER, 16, 0, 0); /* no status */
        if (n == 3)
            guest_describe(guest, 0, 0, UINT64_MAX - 7, 16, NEXT, 1);
        guest_offer(guest, 0, 0);
        guest_notify(guest, 0);
        assert_true(guest_needs_reset(guest));
        assert_int_equal(guest_used(guest, 0), 0);
        assert_int_equal(guest_in(guest, VIRTIO_PCI_ISR, 1), 2);
        assert_int_equal(request(&machine, IN, 0, 512), UNTOUCHED); /* it stands still */
    }
    start(&machine);
    assert_int_equal(request(&machine, IN, 0, 512), OK);
}

static void several_at_once(void **unused)
{
    (void)unused;
    struct machine machine;
    struct guest *guest = &machine.guest;
    start(&machine);
    put_header(&machine, FLUSH, 0);
    for (unsigned i = 0; i < 3; i++) {
        guest_describe(guest, 0, 2 * i, HEADER, 16, NEXT, (uint16_t)(2 * i + 1));
        guest_describe(guest, 0, 2 * i + 1, STATUS + i, 1, WRITE, 0);
        guest_offer(guest, 0, (uint16_t)(2 * i));
    }
    guest_notify(guest, 0);
    assert_int_equal(guest_used(guest, 0), 3);
    assert_int_equal((uint32_t)guest_used_entry(guest, 0, 2), 4);
    assert_int_equal(machine.disk.flushes, 3);
    assert_int_equal(guest_load(guest, STATUS, 2), 0);
}

/* A read into the driver's own available ring makes more available while the device works: it does not go on. */
static void a_ring_that_feeds_itself(void **unused)
{
    (void)unused;
    struct machine machine;
    struct guest *guest = &machine.guest;
    start(&machine);
    put_header(&machine, IN, 0);
    memset(machine.disk.bytes, 0, sizeof machine.disk.bytes);
    bytes_store(machine.disk.bytes + 2, 2, 5); /* idx */
    guest_describe(guest, 0, 0, HEADER, 16, NEXT, 1);
    guest_describe(guest, 0, 1, GUEST_AVAILABLE, 512, NEXT | WRITE, 2);
    guest_describe(guest, 0, 2, STATUS, 1, WRITE, 0);
    guest_offer(guest, 0, 0);
    guest_notify(guest, 0);
    assert_int_equal(guest_load(guest, GUEST_AVAILABLE + 2, 2), 5);
    assert_int_equal(guest_used(guest, 0), 1);
}

static void machine_state(void *device, struct state *state)
{
    struct machine *machine = device;

    virtio_block_state(&machine->block, state);
    guest_state(&machine->guest, state);
    state_bytes(state, "disk", machine->disk.bytes, sizeof machine->disk.bytes);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    struct machine *machine = device;

    (void)now;
    if (dice_below(dice, 2))
        return guest_operate(&machine->guest, dice);
    if (!virtio_is_live(&machine->block.virtio))
        guest_start(&machine->guest, 0);
    return request(machine, dice_below(dice, 10), dice_below(dice, 6), 512 * dice_below(dice, 4));
}

static const struct subject subject = {sizeof(struct machine), machine_init, machine_state, operate};

/* The guest's memory is its own, and may hold anything anyway. */
static void own_state(void *device, struct state *state)
{
    struct machine *machine = device;

    virtio_block_state(&machine->block, state);
}

static const struct subject own = {sizeof(struct machine), machine_init, own_state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_it_is),
        cmocka_unit_test(reads_and_writes),
        cmocka_unit_test(flushes_and_names),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(any_framing),
        cmocka_unit_test(what_cannot_be_answered),
        cmocka_unit_test(several_at_once),
        cmocka_unit_test(a_ring_that_feeds_itself),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
