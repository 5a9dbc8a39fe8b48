/* Split virtqueues against virtio 1.2, section 2.7: what a good driver does, and what a bad one gets. */
#include "tests/unit/virtio_testing.h"

/* A queue over the guest's memory, without a device: as guest_start would set up queue 0. */
struct bench {
    struct guest guest;
    struct dma dma;
    struct virtqueue queue;
    struct virtqueue_rules rules;
    struct virtqueue_chain chain;
    uint64_t told_address, told_length;
};

static void tell(void *context, uint64_t address, uint64_t length)
{
    struct bench *bench = context;

    bench->told_address = address;
    bench->told_length = length;
}

static void set_up(struct bench *bench, bool indirect, bool event_index)
{
    memset(bench, 0, sizeof *bench);
    bench->dma = guest_wires(&bench->guest, NULL).dma;
    bench->dma.written = tell;
    bench->dma.context = bench;
    bench->rules = (struct virtqueue_rules){indirect, event_index};
    virtqueue_init(&bench->queue, 256);
    bench->queue.size = GUEST_ENTRIES;
    bench->queue.descriptors = 0;
    bench->queue.driver = GUEST_AVAILABLE;
    bench->queue.device = GUEST_USED;
    bench->queue.enabled = true;
}

static bool take(struct bench *bench)
{
    return virtqueue_take(&bench->queue, &bench->dma, bench->rules, 0, &bench->chain);
}

static bool give(struct bench *bench, uint32_t written)
{
    bool notify = false;

    assert_true(virtqueue_give(&bench->queue, &bench->dma, bench->rules, &bench->chain, written, &notify));
    return notify;
}

static int waiting(struct bench *bench)
{
    return virtqueue_waiting(&bench->queue, &bench->dma);
}

static void a_chain_there_and_back(void **unused)
{
    (void)unused;
    struct bench bench;
    set_up(&bench, false, false);
    assert_int_equal(waiting(&bench), 0);
    guest_describe(&bench.guest, 0, 5, 0x400, 3, NEXT, 2);
    guest_describe(&bench.guest, 0, 2, 0x500, 4, NEXT | WRITE, 7);
    guest_describe(&bench.guest, 0, 7, 0x600, 2, WRITE, 0);
    guest_offer(&bench.guest, 0, 5);
    memcpy(bench.guest.memory + 0x400, "abc", 3);
    assert_int_equal(waiting(&bench), 1);
    assert_true(take(&bench));
    assert_int_equal(bench.chain.head, 5);
    assert_int_equal(bench.chain.readable, 1);
    assert_int_equal(bench.chain.count, 3);
    assert_int_equal(bench.chain.readable_bytes, 3);
    assert_int_equal(bench.chain.writable_bytes, 6);
    memset(bench.guest.memory, 0xff, 0x80); /* each descriptor was read once: this changes nothing */

    char read[4] = "";
    struct virtqueue_cursor cursor = virtqueue_readable(&bench.chain);
    assert_true(virtqueue_read(&cursor, &bench.dma, read, 2));
    assert_true(virtqueue_read(&cursor, &bench.dma, read + 2, 1));
    assert_string_equal(read, "abc");
    assert_int_equal(cursor.left, 0);
    cursor = virtqueue_writable(&bench.chain);
    virtqueue_skip(&cursor, 1);
    assert_true(virtqueue_write(&cursor, &bench.dma, "wxyz", 4));
    assert_memory_equal(bench.guest.memory + 0x500, "\0wxy", 4);
    assert_memory_equal(bench.guest.memory + 0x600, "z\0", 2);
    assert_int_equal(cursor.left, 1);
    assert_int_equal(bench.told_address, 0x600);
    assert_int_equal(bench.told_length, 1);

    assert_true(give(&bench, 5));
    assert_int_equal(guest_used(&bench.guest, 0), 1);
    assert_int_equal(guest_used_entry(&bench.guest, 0, 0), 5 | UINT64_C(5) << 32);
    assert_int_equal(guest_load(&bench.guest, GUEST_USED, 2), 0); /* flags are as the driver left them */
    assert_int_equal(waiting(&bench), 0);
}

static void indices_wrap(void **unused)
{
    (void)unused;
    struct bench bench;
    set_up(&bench, false, false);
    bench.queue.next = 65534;
    guest_store(&bench.guest, GUEST_AVAILABLE + 2, 2, 65534);
    for (unsigned i = 0; i < 4; i++) {
        guest_describe(&bench.guest, 0, i, 0x400 + i, 1, 0, 0);
        guest_offer(&bench.guest, 0, (uint16_t)i);
    }
    assert_int_equal(waiting(&bench), 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(take(&bench));
        assert_int_equal(bench.chain.head, i);
        give(&bench, 0);
    }
    assert_int_equal(guest_used(&bench.guest, 0), 2);
    assert_int_equal((uint32_t)guest_used_entry(&bench.guest, 0, 7), 1);
    assert_int_equal((uint32_t)guest_used_entry(&bench.guest, 0, 0), 2);
}

static void looking_ahead(void **unused)
{
    (void)unused;
    struct bench bench;
    set_up(&bench, false, false);
    for (unsigned i = 0; i < 3; i++) {
        guest_describe(&bench.guest, 0, i, 0x400, 10 + i, WRITE, 0);
        guest_offer(&bench.guest, 0, (uint16_t)i);
    }
    assert_true(virtqueue_take(&bench.queue, &bench.dma, bench.rules, 2, &bench.chain));
    assert_int_equal(bench.chain.writable_bytes, 12);
    assert_true(take(&bench));
    assert_int_equal(bench.chain.writable_bytes, 10);
}

/* 2.7.7: without the event index, a flag; with it, a number. */
static void who_wants_to_hear(void **unused)
{
    (void)unused;
    struct bench bench;
    set_up(&bench, false, false);
    guest_describe(&bench.guest, 0, 0, 0x400, 1, 0, 0);
    for (unsigned i = 0; i < 4; i++)
        guest_offer(&bench.guest, 0, 0);
    assert_true(take(&bench));
    guest_store(&bench.guest, GUEST_AVAILABLE, 2, 1);
    assert_false(give(&bench, 0));
    guest_store(&bench.guest, GUEST_AVAILABLE, 2, 0);
    assert_true(give(&bench, 0));
    bench.rules.event_index = true;
    guest_store(&bench.guest, GUEST_AVAILABLE, 2, 1); /* not looked at now */
    guest_store(&bench.guest, GUEST_AVAILABLE + 4 + 2 * GUEST_ENTRIES, 2, 3);
    assert_false(give(&bench, 0));
    assert_true(give(&bench, 0));
    assert_int_equal(guest_load(&bench.guest, GUEST_USED + 4 + 8 * GUEST_ENTRIES, 2), 0);
    assert_true(virtqueue_ask(&bench.queue, &bench.dma, bench.rules));
    assert_int_equal(guest_load(&bench.guest, GUEST_USED + 4 + 8 * GUEST_ENTRIES, 2), 4);
}

static void indirect_tables(void **unused)
{
    (void)unused;
    struct bench bench;
    set_up(&bench, true, false);
    guest_describe(&bench.guest, 0, 0, 0x480, 8, NEXT, 3);
    guest_describe(&bench.guest, 0, 3, 0x400, 48, INDIRECT | WRITE, 0); /* WRITE is to be ignored: 2.7.5.3.2 */
    guest_descriptor(&bench.guest, 0x400, 0x500, 1, NEXT, 2);
    guest_descriptor(&bench.guest, 0x420, 0x600, 2, NEXT | WRITE, 1);
    guest_descriptor(&bench.guest, 0x410, 0x700, 3, WRITE, 0);
    guest_offer(&bench.guest, 0, 0);
    assert_true(take(&bench));
    assert_int_equal(bench.chain.count, 4);
    assert_int_equal(bench.chain.readable_bytes, 9);
    assert_int_equal(bench.chain.writable_bytes, 5);
    assert_int_equal(bench.chain.segments[3].address, 0x700);
    bench.rules.indirect = false;
    assert_false(take(&bench));
    bench.rules.indirect = true;
    guest_descriptor(&bench.guest, 0x420, 0x600, 2, NEXT | WRITE, 3); /* past the table's end */
    assert_false(take(&bench));
    guest_descriptor(&bench.guest, 0x420, 0x440, 16, INDIRECT, 0); /* a table in a table */
    assert_false(take(&bench));
    guest_descriptor(&bench.guest, 0x420, 0x600, 2, WRITE, 0);
    assert_true(take(&bench));
    guest_describe(&bench.guest, 0, 3, 0x400, 47, INDIRECT, 0); /* no whole number of descriptors */
    assert_false(take(&bench));
    guest_describe(&bench.guest, 0, 3, 0x400, 0, INDIRECT, 0); /* none at all */
    assert_false(take(&bench));
    guest_describe(&bench.guest, 0, 3, 0x400, 48, INDIRECT | NEXT, 1);
    assert_false(take(&bench));
    guest_describe(&bench.guest, 0, 3, GUEST_MEMORY - 16, 48, INDIRECT, 0); /* not all of it is memory */
    guest_descriptor(&bench.guest, GUEST_MEMORY - 16, 0, 1, NEXT, 1);
    assert_false(take(&bench));
    guest_describe(&bench.guest, 0, 3, UINT64_MAX - 15, 48, INDIRECT, 0); /* its second entry would wrap to 0 */
    assert_false(take(&bench));
}

static void broken_rings(void **unused)
{
    (void)unused;
    struct bench bench;
    set_up(&bench, false, false);
    guest_store(&bench.guest, GUEST_AVAILABLE + 2, 2, GUEST_ENTRIES);
    assert_int_equal(waiting(&bench), GUEST_ENTRIES);
    guest_store(&bench.guest, GUEST_AVAILABLE + 2, 2, GUEST_ENTRIES + 1); /* more than fit */
    assert_int_equal(waiting(&bench), -1);
    guest_store(&bench.guest, GUEST_AVAILABLE + 2, 2, 65535); /* backwards */
    assert_int_equal(waiting(&bench), -1);
    guest_store(&bench.guest, GUEST_AVAILABLE + 2, 2, 1);
    guest_store(&bench.guest, GUEST_AVAILABLE + 4, 2, GUEST_ENTRIES); /* a head that is no descriptor */
    assert_false(take(&bench));
    guest_store(&bench.guest, GUEST_AVAILABLE + 4, 2, 0);
    guest_describe(&bench.guest, 0, 0, 0x400, 1, NEXT, 1);
    guest_describe(&bench.guest, 0, 1, 0x400, 1, NEXT, 0); /* a loop */
    assert_false(take(&bench));
    guest_describe(&bench.guest, 0, 1, 0x400, 1, NEXT | WRITE, 2); /* readable after writable */
    guest_describe(&bench.guest, 0, 2, 0x400, 1, 0, 0);
    assert_false(take(&bench));
    guest_describe(&bench.guest, 0, 0, 0x400, UINT32_MAX, NEXT, 1); /* 2^32 + 1 bytes */
    guest_describe(&bench.guest, 0, 1, 0x400, 2, WRITE, 0);
    assert_false(take(&bench));
    guest_describe(&bench.guest, 0, 1, 0x400, 1, WRITE, 0);
    assert_true(take(&bench));
    bench.queue.descriptors = GUEST_MEMORY;
    assert_false(take(&bench));
    bench.queue.descriptors = UINT64_MAX - 15; /* entry 1 would wrap to 0 */
    guest_store(&bench.guest, GUEST_AVAILABLE + 4, 2, 1);
    assert_false(take(&bench));
    bench.queue.driver = UINT64_MAX - 1;
    assert_int_equal(waiting(&bench), -1);
    assert_false(take(&bench));
    bench.queue.driver = GUEST_MEMORY - 4; /* flags and index are memory, the ring is not */
    assert_int_equal(waiting(&bench), 0);
    assert_false(take(&bench));
}

static void used_rings_outside(void **unused)
{
    (void)unused;
    static const uint64_t places[] = {GUEST_MEMORY, UINT64_MAX - 3, GUEST_MEMORY - 8, UINT64_MAX - 1};
    struct bench bench;
    bool notify;
    for (unsigned i = 0; i < 4; i++) {
        set_up(&bench, false, true);
        guest_describe(&bench.guest, 0, 0, 0x400, 1, 0, 0);
        guest_offer(&bench.guest, 0, 0);
        assert_true(take(&bench));
        bench.queue.device = places[i];
        assert_false(virtqueue_give(&bench.queue, &bench.dma, bench.rules, &bench.chain, 0, &notify));
        assert_false(virtqueue_ask(&bench.queue, &bench.dma, bench.rules));
    }
}

/* Buffers that are not memory, or would wrap into it. */
static void buffers_outside(void **unused)
{
    (void)unused;
    static const uint64_t places[] = {GUEST_MEMORY - 3, GUEST_MEMORY, UINT64_MAX - 1, UINT64_MAX};
    struct bench bench;
    uint8_t bytes[4] = {1, 2, 3, 4};
    for (unsigned i = 0; i < 4; i++) {
        set_up(&bench, false, false);
        guest_describe(&bench.guest, 0, 0, places[i], 4, NEXT, 1);
        guest_describe(&bench.guest, 0, 1, places[i], 4, WRITE, 0);
        guest_offer(&bench.guest, 0, 0);
        assert_true(take(&bench));
        struct virtqueue_cursor cursor = virtqueue_readable(&bench.chain);
        assert_false(virtqueue_read(&cursor, &bench.dma, bytes, 4));
        cursor = virtqueue_writable(&bench.chain);
        assert_false(virtqueue_write(&cursor, &bench.dma, bytes, 4));
        cursor = virtqueue_writable(&bench.chain);
        virtqueue_skip(&cursor, 3);
        assert_false(virtqueue_write(&cursor, &bench.dma, bytes, 1));
    }
    assert_int_equal(guest_load(&bench.guest, 0, 1), 0xff); /* the descriptor itself: nothing wrapped onto it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_there_and_back), cmocka_unit_test(indices_wrap),    cmocka_unit_test(looking_ahead),
        cmocka_unit_test(who_wants_to_hear),      cmocka_unit_test(indirect_tables), cmocka_unit_test(broken_rings),
        cmocka_unit_test(used_rings_outside),     cmocka_unit_test(buffers_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
