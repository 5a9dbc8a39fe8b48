/* Guest memory's checked accessor, and the processor's power-up state and field list. */
#include "tests/unit/test_boot_support.h"

#define SIZE 0x10000u

static int setup(void **state)
{
    struct boot_fixture *fixture = calloc(1, sizeof *fixture);
    *state = fixture;
    return fixture ? ram_create(&fixture->ram, SIZE, &fixture->error) : -1;
}

static void test_bounds(void **state)
{
    struct boot_fixture *fixture = *state;
    const struct ram *ram = &fixture->ram;
    assert_ptr_equal(ram_pointer(ram, 0, SIZE), ram->bytes);
    assert_ptr_equal(ram_pointer(ram, SIZE - 1, 1), ram->bytes + SIZE - 1);
    assert_non_null(ram_pointer(ram, SIZE, 0));
    assert_null(ram_pointer(ram, SIZE, 1));
    assert_null(ram_pointer(ram, SIZE + 1, 0));
    assert_null(ram_pointer(ram, 0, SIZE + 1));
    assert_null(ram_pointer(ram, 1, SIZE));
    assert_null(ram_pointer(ram, 1, UINT64_MAX)); /* the sum wraps to 0 */
    assert_null(ram_pointer(ram, UINT64_MAX, 1));
    assert_null(ram_pointer(ram, UINT64_MAX, 2));
}

static void test_all_or_nothing(void **state)
{
    struct boot_fixture *fixture = *state;
    struct ram *ram = &fixture->ram;
    uint8_t bytes[4] = {1, 2, 3, 4}, back[4] = {9, 9, 9, 9};
    assert_false(ram_write(ram, SIZE - 3, bytes, 4));
    assert_int_equal(ram->bytes[SIZE - 3], 0);
    assert_false(ram_is_dirty(ram, SIZE - 1));
    assert_false(ram_read(ram, SIZE - 3, back, 4));
    assert_int_equal(back[0], 9);
    assert_false(ram_fill(ram, SIZE - 3, 7, 4));
    assert_true(ram_write(ram, SIZE - 4, bytes, 4));
    assert_true(ram_read(ram, SIZE - 4, back, 4));
    assert_memory_equal(back, bytes, 4);
}

static void test_dirty(void **state)
{
    struct boot_fixture *fixture = *state;
    struct ram *ram = &fixture->ram;
    assert_true(ram_write(ram, 0x1fff, "ab", 2));
    assert_true(ram_write(ram, 0x5000, "", 0));
    for (uint64_t page = 0; page < SIZE / 4096; page++)
        assert_int_equal(ram_is_dirty(ram, page * 4096), page == 1 || page == 2);
    assert_int_equal(ram->dirty[0], 6);
    assert_false(ram_is_dirty(ram, SIZE));
    ram_clear_dirty(ram);
    assert_int_equal(ram->dirty[0], 0);
    ram_mark(ram, 0, SIZE);
    assert_int_equal(ram->dirty[0], 0xffff);
}

static void test_sizes(void **state)
{
    struct boot_fixture *fixture = *state;
    struct ram ram;
    assert_int_equal(ram_create(&ram, 0, &fixture->error), -1);
    assert_int_equal(ram_create(&ram, 4095, &fixture->error), -1);
    assert_int_equal(fixture->error.kind, ERROR_INPUT);
    assert_int_equal(ram_create(&ram, UINT64_C(1) << 62, &fixture->error), -1);
    assert_int_equal(fixture->error.kind, ERROR_HOST);
    ram_destroy(&ram);
    assert_int_equal(ram_create(&ram, 65 * 4096, &fixture->error), 0);
    assert_int_equal(ram.dirty_words, 2);
    ram_destroy(&ram);
    assert_null(ram.bytes);
}

static void test_cpu_reset(void **state)
{
    (void)state;
    struct cpu_state cpu;
    memset(&cpu, 0xaa, sizeof cpu);
    cpu_state_reset(&cpu);
    assert_int_equal(cpu.rip, 0xfff0);
    assert_int_equal(cpu.cs.base + cpu.rip, 0xfffffff0);
    assert_int_equal(cpu.cr0, 0x60000010);
    assert_int_equal(cpu.dr6, 0xffff0ff0);
    assert_int_equal(cpu.dr7, 0x400);
    assert_int_equal(cpu.mxcsr, 0x1f80);
    assert_int_equal(cpu.fcw, 0x40);
    assert_int_equal(cpu.gprs[GPR_RAX], 0);
    assert_false(cpu.halted);
}

/* Saving, restoring and saving again gives the same bytes, whatever the fields hold. */
static void test_cpu_round_trip(void **state)
{
    struct boot_fixture *fixture = *state;
    struct cpu_state cpu, back;
    cpu_state_reset(&cpu);
    for (unsigned i = 0; i < CPU_GPRS; i++)
        cpu.gprs[i] = 0x0101010101010101 * (i + 1);
    memset(cpu.xmm, 0x5a, sizeof cpu.xmm);
    cpu.st[7][9] = 0x80;
    cpu.kernel_gs_base = UINT64_MAX;
    cpu.cr8 = 15;
    cpu.nmi_blocked = true;
    struct bytes_writer first = bytes_writer(1 << 20), second = bytes_writer(1 << 20);
    struct state visit = state_save(&first);
    cpu_state_visit(&cpu, &visit);
    assert_int_equal(state_end(&visit, &fixture->error), 0);
    memset(&back, 0, sizeof back);
    visit = state_restore(first.data, first.length);
    cpu_state_visit(&back, &visit);
    assert_int_equal(state_end(&visit, &fixture->error), 0);
    visit = state_save(&second);
    cpu_state_visit(&back, &visit);
    assert_int_equal(state_end(&visit, &fixture->error), 0);
    assert_int_equal(first.length, second.length);
    assert_memory_equal(first.data, second.data, first.length);
    assert_int_equal(back.kernel_gs_base, UINT64_MAX);
    assert_int_equal(back.gprs[GPR_R15], 0x1010101010101010);
    assert_memory_equal(back.xmm, cpu.xmm, sizeof cpu.xmm);
    bytes_writer_free(&first);
    bytes_writer_free(&second);
}

static void test_cpu_hostile(void **state)
{
    struct boot_fixture *fixture = *state;
    struct cpu_state good, bad;
    cpu_state_reset(&good);
    for (unsigned i = 0; i < 5; i++) {
        bad = good;
        if (i == 1)
            bad.rflags = 0; /* bit 1 is one */
        if (i == 2)
            bad.cr8 = 16;
        if (i == 3)
            bad.ds.attributes = 0x100;
        if (i == 4)
            bad.mxcsr = 0x10000;
        struct bytes_writer out = bytes_writer(1 << 20);
        struct state visit = state_save(&out);
        cpu_state_visit(&bad, &visit);
        assert_int_equal(state_end(&visit, &fixture->error), 0);
        visit = state_restore(out.data, out.length);
        cpu_state_visit(&bad, &visit);
        assert_int_equal(state_end(&visit, &fixture->error), i == 0 ? 0 : -1);
        bytes_writer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bounds, setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_all_or_nothing, setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_dirty, setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, boot_teardown),
        cmocka_unit_test(test_cpu_reset),
        cmocka_unit_test_setup_teardown(test_cpu_round_trip, setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_cpu_hostile, setup, boot_teardown),
    };
    return cmocka_run_group_tests_name("boot_ram", tests, NULL, NULL);
}
