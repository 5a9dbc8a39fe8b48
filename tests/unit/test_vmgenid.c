/* The machine's generation: in memory where the tables say, changed by an operator, and told by a general purpose event
 * (ACPI specification 6.5, 4.8.4; "Virtual Machine Generation ID", Microsoft 2012). */
#include "tests/unit/device_testing.h"

#include "vmm/devices/vmgenid.h"

#define ADDRESS 0x1008u

struct board {
    struct acpi_pm pm;
    struct vmgenid vmgenid;
    struct line_record sci;
    struct ram ram;
    uint64_t written;
};

static const uint8_t first[VMGENID_BYTES] = "first generation";
static const uint8_t second[VMGENID_BYTES] = "2nd generation..";

static void on_write(void *context, uint64_t address, uint64_t length)
{
    struct board *board = context;

    assert_int_equal(address, ADDRESS);
    assert_int_equal(length, VMGENID_BYTES);
    board->written++;
}

static uint32_t in(struct board *board, unsigned offset, unsigned size)
{
    return (uint32_t)port_in(acpi_pm_general_read, &board->pm, offset, size, 0);
}

static void out(struct board *board, unsigned offset, unsigned size, uint32_t value)
{
    port_out(acpi_pm_general_write, &board->pm, offset, size, value, 0);
}

static void board_init(struct board *board)
{
    struct error error;

    memset(board, 0, sizeof *board);
    assert_int_equal(ram_create(&board->ram, 2 * RAM_PAGE_SIZE, &error), 0);
    struct dma dma = {.ram = &board->ram, .written = on_write, .context = board};
    acpi_pm_init(&board->pm, line_record_wire(&board->sci), (struct acpi_pm_wire){0});
    vmgenid_init(&board->vmgenid, first, ADDRESS, &dma, &board->pm);
}

static void changes_and_tells(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    vmgenid_install(&board.vmgenid);
    assert_memory_equal(board.ram.bytes + ADDRESS, first, VMGENID_BYTES);
    assert_int_equal(in(&board, 0, 2), 0);
    out(&board, 1, 1, 0xff);
    assert_int_equal(in(&board, 0, 2), 0x2000); /* one event exists */
    assert_false(board.sci.level);
    vmgenid_change(&board.vmgenid, second);
    assert_memory_equal(board.ram.bytes + ADDRESS, second, VMGENID_BYTES);
    assert_int_equal(board.written, 2);
    assert_int_equal(in(&board, 0, 2), 0x2020);
    assert_true(board.sci.level);
    out(&board, 0, 1, 0xdf);
    assert_true(board.sci.level);
    out(&board, 0, 1, 0x20); /* a status bit is cleared by writing one */
    assert_int_equal(in(&board, 0, 2), 0x2000);
    assert_false(board.sci.level);
    ram_destroy(&board.ram);
}

/* An event that nobody has enabled waits for that; and it shares the line with those that are fixed. */
static void waits_to_be_enabled(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    vmgenid_change(&board.vmgenid, second);
    assert_false(board.sci.level);
    out(&board, 0, 2, 0x2000);
    assert_true(board.sci.level);
    port_out(acpi_pm_event_write, &board.pm, 2, 2, 0x0100, 0);
    acpi_pm_press_power_button(&board.pm);
    out(&board, 0, 1, 0x20);
    assert_true(board.sci.level);
    port_out(acpi_pm_event_write, &board.pm, 0, 2, 0x0100, 0);
    assert_false(board.sci.level);
    ram_destroy(&board.ram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_and_tells),
        cmocka_unit_test(waits_to_be_enabled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
