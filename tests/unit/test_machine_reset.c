/* A reset clears memory, and touches only what held something: a guest that has used little of much memory, and resets
 * its machine, must not cost the host all of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/soft/sector.h"
#include "vmm/boot/firmware_tables.h"

/* By the 8042. */
PC_ASM_BITS(guest, "16", "movw $0x1234, (0x5000)\n mov $0xfe, %al\n out %al, $0x64\n cli\n hlt");

#define TOUCHED   0x5000
#define UNTOUCHED 0x60000

static void test_memory(void **state)
{
    struct sector s = {0};
    (void)state;
    sector_create(&s, guest_start, PC_LENGTH(guest));
    sector_digest(&s);
    assert_int_equal(machine_run(&s.machine, NULL, &s.error), ENGINE_STOP_REQUESTED);
    assert_int_equal(s.machine.end, MACHINE_RUNS);
    assert_int_equal(s.machine.ram.bytes[TOUCHED], 0);
    assert_true(ram_is_dirty(&s.machine.ram, TOUCHED));
    assert_false(ram_is_dirty(&s.machine.ram, UNTOUCHED));
    sector_destroy(&s);
}

/* What was ordered before is what the guest finds after it: a reset makes no other machine. */
static void test_generation(void **state)
{
    static const uint8_t second[VMGENID_BYTES] = "2nd generation..";
    const uint64_t place = FIRMWARE_ACPI + FIRMWARE_GENERATION;
    struct sector s = {0};
    (void)state;
    sector_create(&s, guest_start, PC_LENGTH(guest));
    assert_memory_equal(s.machine.ram.bytes + place, s.machine.config.generation, VMGENID_BYTES);
    assert_true(machine_operator(&s.machine, MACHINE_NEW_GENERATION, second, sizeof second));
    assert_false(machine_operator(&s.machine, MACHINE_NEW_GENERATION, second, sizeof second - 1));
    assert_memory_equal(s.machine.ram.bytes + place, second, VMGENID_BYTES);
    assert_int_equal(machine_run(&s.machine, NULL, &s.error), ENGINE_STOP_REQUESTED);
    assert_memory_equal(s.machine.ram.bytes + place, second, VMGENID_BYTES);
    sector_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
