/*
 * Debug exceptions, interrupt shadows and priorities among events as the SDM has them (volume 3, 6.8.3, 6.9 and chapter
 * 17), and accessed bits that land in code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/soft/stage.h"

#define FLAG_IF    0x200u
#define DR6_CAUSES 0xe00fu
#define DR6_BS_    0x4000u
#define DR7_FIXED  0x400u

/* Breakpoint `i` of kind `rw` and length code `len`, enabled by its global bit. */
static uint64_t dr7(unsigned i, unsigned rw, unsigned len)
{
    return DR7_FIXED | 2u << 2 * i | rw << (16 + 4 * i) | len << (18 + 4 * i);
}

static void begin(struct stage *s, const char *code, unsigned length)
{
    stage_protected(s, 0);
    s->cpu.gprs[GPR_RSI] = STAGE_DATA;
    stage_code(s, code, length);
}

static void expect_debug(struct stage *s, const char *what, uint64_t rip, uint64_t causes, bool rf)
{
    struct outcome o = stage_run(s, 0);
    if (o.vector != 1 || o.rip != STAGE_CODE + rip || (s->cpu.dr6 & DR6_CAUSES) != causes ||
        ((o.rflags & FLAG_RF) != 0) != rf)
        fail_msg("%s: vector %d rip %llx dr6 %llx rflags %llx", what, o.vector, (unsigned long long)o.rip,
                 (unsigned long long)s->cpu.dr6, (unsigned long long)o.rflags);
}

/* A breakpoint on an instruction is a fault before it, whose image has RF clear; RF set lets the instruction go by. */
static void test_instruction_breakpoints(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned i = 0; i < 4; i++) {
        begin(s, "\x90\x40\xf4", 3);
        s->cpu.dr[i] = STAGE_CODE + 1;
        s->cpu.dr7 = dr7(i, 0, 0);
        expect_debug(s, "instruction", 1, 1u << i, false);
        begin(s, "\x40\x40\xf4", 3);
        s->cpu.dr[i] = STAGE_CODE;
        s->cpu.dr7 = dr7(i, 0, 0);
        s->cpu.rflags |= FLAG_RF;
        assert_int_equal(stage_run(s, 0).vector, DONE);
        /* The breakpoint comes before the instruction's own faults. */
        begin(s, "\x0f\x0b", 2);
        s->cpu.dr[i] = STAGE_CODE;
        s->cpu.dr7 = dr7(i, 0, 0);
        expect_debug(s, "before #UD", 0, 1u << i, false);
    }
    stage_free(s);
}

/* Breakpoints on data trap after the access, for every kind, length and place. */
static void test_data_breakpoints(void **state)
{
    (void)state;
    static const char *const code[2][3] = {{"\x8a\x06\x90\xf4", "\x66\x8b\x06\xf4", "\x8b\x06\x90\xf4"},
                                           {"\x88\x06\x90\xf4", "\x66\x89\x06\xf4", "\x89\x06\x90\xf4"}};
    static const uint8_t lengths[4] = {1, 2, 8, 4};
    struct stage *s = stage_new();
    for (unsigned write = 0; write < 2; write++)
        for (unsigned rw = 0; rw < 4; rw++)
            for (unsigned len = 0; len < 4; len++)
                for (unsigned n = 0; n < 3 * 16; n++) {
                    unsigned size = 1u << n % 3, offset = n / 3;
                    uint64_t at = STAGE_DATA + 8;
                    begin(s, code[write][n % 3], 4);
                    s->cpu.gprs[GPR_RSI] = STAGE_DATA + offset;
                    s->cpu.dr[2] = at;
                    s->cpu.dr7 = dr7(2, rw, rw ? len : 0);
                    uint64_t from = STAGE_DATA + offset;
                    bool kind = rw == 3 || (rw == 1 && write);
                    bool hit = kind && from < at + lengths[len] && at < from + size;
                    struct outcome o = stage_run(s, 0);
                    if (o.vector != (hit ? 1 : DONE))
                        fail_msg("write %u rw %u len %u size %u offset %u: vector %d", write, rw, len, size, offset,
                                 o.vector);
                    if (hit) {
                        assert_int_equal(o.rip, STAGE_CODE + 2 + (size == 2));
                        assert_int_equal(s->cpu.dr6 & DR6_CAUSES, 4);
                    }
                }
    stage_free(s);
}

static void test_port_breakpoints(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned de = 0; de < 2; de++) {
        begin(s, "\xe6\x61\xf4", 3);
        s->cpu.cr4 = de ? 8 : 0;
        s->cpu.dr[0] = 0x60;
        s->cpu.dr7 = dr7(0, 2, 1);
        if (de)
            expect_debug(s, "port", 2, 1, false);
        else
            assert_int_equal(stage_run(s, 0).vector, DONE);
    }
    stage_free(s);
}

static void test_single_step(void **state)
{
    (void)state;
    static const struct {
        const char *name, *code;
        uint64_t rip;
    } list[] = {
        {"nop", "\x90\x90\xf4\x90\x90", 1},
        {"mov ss waits for the next instruction", "\x8e\xd0\x90\x90\xf4", 3},
        {"sti does not", "\xfb\x90\x90\xf4\x90", 1},
        {"pop ss", "\x17\x90\x90\xf4\x90", 2},
        {"popf that clears TF is stepped", "\x9d\x90\x90\xf4\x90", 1},
    };
    struct stage *s = stage_new();
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++) {
        begin(s, list[i].code, 5);
        s->cpu.rflags |= FLAG_TF;
        s->cpu.gprs[GPR_RAX] = SEL_DATA(0);
        stage_put(s, STAGE_STACK, i == 4 ? 2 : SEL_DATA(0), 4);
        expect_debug(s, list[i].name, list[i].rip, DR6_BS_, false);
    }
    /* POPF that sets TF is followed by one instruction; an instruction that faults is not stepped. */
    begin(s, "\x9d\x90\xf4", 3);
    stage_put(s, STAGE_STACK, 2 | FLAG_TF, 4);
    expect_debug(s, "popf", 2, DR6_BS_, false);
    begin(s, "\x0f\x0b", 2);
    s->cpu.rflags |= FLAG_TF;
    assert_int_equal(stage_run(s, 0).vector, 6);
    assert_int_equal(s->cpu.dr6 & DR6_CAUSES, 0);
    /* INT clears TF before it could trap. */
    begin(s, "\xcd\x20", 2);
    s->cpu.rflags |= FLAG_TF;
    assert_int_equal(stage_run(s, 0).vector, 0x20);
    stage_free(s);
}

/* Each iteration of a REP traps, at the instruction, with RF set but after the last. */
static void test_stepping_a_rep(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned count = 1; count < 4; count++) {
        begin(s, "\xf3\xaa\x90\xf4", 4);
        s->cpu.gprs[GPR_RDI] = STAGE_DATA;
        s->cpu.gprs[GPR_RCX] = count;
        s->cpu.rflags |= FLAG_TF;
        expect_debug(s, "rep", count == 1 ? 2 : 0, DR6_BS_, count > 1);
        assert_int_equal(s->cpu.gprs[GPR_RCX], count - 1);
    }
    stage_free(s);
}

static void test_breakpoint_after_mov_ss(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    begin(s, "\x8e\xd0\x90\xf4", 4);
    s->cpu.gprs[GPR_RAX] = SEL_DATA(0);
    s->cpu.dr[0] = STAGE_CODE + 2;
    s->cpu.dr7 = dr7(0, 0, 0);
    assert_int_equal(stage_run(s, 0).vector, DONE);
    /* STI holds off interrupts alone. */
    begin(s, "\xfb\x90\xf4", 3);
    s->cpu.dr[0] = STAGE_CODE + 1;
    s->cpu.dr7 = dr7(0, 0, 0);
    expect_debug(s, "after sti", 1, 1, false);
    /* A data breakpoint that MOV SS hits is taken after the next instruction. */
    begin(s, "\x8e\x16\x90\xf4", 4);
    stage_put(s, STAGE_DATA, SEL_DATA(0), 2);
    s->cpu.dr[0] = STAGE_DATA;
    s->cpu.dr7 = dr7(0, 3, 1);
    expect_debug(s, "mov ss from memory", 3, 1, false);
    stage_free(s);
}

/* DR7.GD makes MOV to and from debug registers fault; DR4 and DR5 are others' names, unless CR4.DE. */
/* Both things survive in the processor's state, as a checkpoint has it: the kind of the shadow, and the trap held off.
 */
static void test_mov_ss_in_the_state(void **state)
{
    (void)state;
    const struct position behind = {.kind = AT_TICK, .ticks = 1, .rip = STAGE_CODE + 2};
    struct stage *s = stage_new();
    for (unsigned n = 0; n < 2; n++) {
        bool data = n == 0;
        begin(s, data ? "\x8e\x16\x90\xf4" : "\x8e\xd0\x90\xf4", 4);
        stage_put(s, STAGE_DATA, SEL_DATA(0), 2);
        s->cpu.gprs[GPR_RAX] = SEL_DATA(0);
        s->cpu.rflags |= FLAG_IF;
        s->cpu.dr[0] = data ? STAGE_DATA : STAGE_CODE + 2;
        s->cpu.dr7 = data ? dr7(0, 3, 1) : dr7(0, 0, 0);
        assert_int_equal(engine_set_cpu(s->engine, &s->cpu, 0, &s->error), 0);
        s->engine->exits = 0;
        assert_int_equal(engine_run_to(s->engine, &behind, &s->error), ENGINE_STOP_POSITION);
        assert_int_equal(engine_get_cpu(s->engine, &s->cpu, &s->error), 0);
        assert_true(s->cpu.interrupt_shadow && s->cpu.shadow_of_ss);
        assert_int_equal(s->cpu.pending_debug, data ? 1 : 0);
        if (data)
            expect_debug(s, "trap held off by mov ss", 3, 1, false);
        else
            assert_int_equal(stage_run(s, 0).vector, DONE);
    }
    stage_free(s);
}

static void test_debug_registers(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    begin(s, "\x0f\x23\xc0\xf4", 4);
    s->cpu.dr7 = DR7_FIXED | 0x2000;
    expect_debug(s, "general detect", 0, 0x2000, true);
    assert_int_equal(s->cpu.dr7, DR7_FIXED);
    for (unsigned n = 0; n < 8; n++)
        for (unsigned de = 0; de < 2; de++)
            for (unsigned cpl = 0; cpl < 4; cpl += 3) {
                stage_protected(s, cpl);
                char code[] = {0x0f, 0x23, (char)(0xc0 | n << 3), (char)0xf4};
                s->cpu.gprs[GPR_RAX] = 0xffffffff & ~0x20ffu;
                s->cpu.cr4 = de ? 8 : 0;
                stage_code(s, code, 4);
                struct outcome o = stage_run(s, cpl ? 0 : STAGE_CODE + 3);
                int want = de && (n == 4 || n == 5) ? 6 : cpl ? 13 : DONE;
                if (o.vector != want)
                    fail_msg("DR%u DE %u level %u: vector %d", n, de, cpl, o.vector);
                if (want == DONE && n >= 4)
                    assert_int_equal(n & 1 ? s->cpu.dr7 : s->cpu.dr6, n & 1 ? 0xffff0700 : 0xffffcff0);
            }
    stage_free(s);
}

/* Traps of the last instruction come before interrupts, and these before the next instruction's faults. */
static void test_priorities(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    s->vector = 0x40;
    /* A breakpoint on the instruction at which an interrupt waits: the interrupt is first, and RF has no part in it. */
    begin(s, "\x0f\x0b\xf4", 3);
    s->cpu.rflags |= FLAG_IF;
    s->cpu.dr[0] = STAGE_CODE;
    s->cpu.dr7 = dr7(0, 0, 0);
    engine_set_intr(s->engine, true);
    struct outcome o = stage_run(s, 0);
    assert_int_equal(o.vector, 0x40);
    assert_int_equal(o.rip, STAGE_CODE);
    assert_int_equal(o.rflags & FLAG_RF, 0);
    /* A step and a data breakpoint at once: one exception. */
    begin(s, "\x8b\x06\xf4", 3);
    s->cpu.rflags |= FLAG_TF;
    s->cpu.dr[1] = STAGE_DATA;
    s->cpu.dr7 = dr7(1, 3, 3);
    expect_debug(s, "step and data", 2, DR6_BS_ | 2, false);
    /* #GP by privilege before #PF of the operand; #UD before #GP; a segment's limit before the page. */
    stage_long(s, 3);
    s->cpu.gprs[GPR_RSI] = 0x40000000;
    stage_code(s, "\x0f\x01\x16", 3); /* lgdt (%rsi) */
    assert_int_equal(stage_run(s, 0).vector, 13);
    stage_long(s, 3);
    stage_code(s, "\xf0\x0f\x01\x16", 4); /* with LOCK */
    assert_int_equal(stage_run(s, 0).vector, 6);
    stage_long(s, 0);
    s->cpu.gprs[GPR_RSI] = UINT64_C(0x800000000000);
    stage_code(s, "\x8b\x06", 2);
    assert_int_equal(stage_run(s, 0).vector, 13);
    /* #NM before the operand's #PF. */
    stage_long(s, 0);
    s->cpu.cr0 |= 8;
    s->cpu.gprs[GPR_RSI] = 0x40000000;
    stage_code(s, "\xd9\x06", 2);
    assert_int_equal(stage_run(s, 0).vector, 7);
    stage_free(s);
}

/* SDM volume 3, 4.6.1: with SMAP the processor's own accesses to descriptors in a user page fail, AC or not. */
static void test_implicit_accesses(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned n = 0; n < 8; n++) {
        bool user = n & 1, smap = n & 2, ac = n & 4;
        stage_long(s, 0);
        for (unsigned page = 0; page < STAGE_RAM >> 12; page++)
            stage_put(s, STAGE_TABLES + 0x3000 + 8 * page, page << 12 | (user && page == STAGE_GDT >> 12 ? 7 : 3), 8);
        s->cpu.cr4 |= smap ? 0x200000 : 0;
        s->cpu.rflags |= ac ? FLAG_AC : 0;
        s->cpu.gprs[GPR_RAX] = SEL_DATA(0);
        /* An explicit access before it must not leave a translation that the implicit one could use. */
        s->cpu.gprs[GPR_RSI] = STAGE_GDT;
        bool explicit_too = !user || !smap || ac;
        stage_code(s, explicit_too ? "\x8b\x0e\x8e\xd8\xf4" : "\x90\x90\x8e\xd8\xf4", 5);
        /* The handler's code segment is loaded from the same table: that fails, too. */
        struct outcome o = stage_run(s, STAGE_CODE + 4);
        assert_int_equal(o.vector, user && smap ? SHUTDOWN : DONE);
    }
    stage_free(s);
}

/* A page table that is executed. Bytes 03 45 04 are an entry of the page at 0x44000, and ADD 4(%rbp), %eax; once the
 * entry is accessed they are 23 45 04, AND. The instruction just before is what accesses it. */
static void test_accessed_bit_in_code(void **state)
{
    (void)state;
    static const uint8_t code[] = {0x90, 0x8b, 0x0e, 0x90, 0x90, 0x90, 0x90, 0x90,  /* mov (%rsi), %ecx; nops */
                                   0x03, 0x45, 0x04, 0x00, 0x00, 0x00, 0xc0, 0x40,  /* add; two that add zero; REX */
                                   0xf4, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00}; /* hlt */
    struct stage *s = stage_new();
    stage_long(s, 0);
    uint64_t entry = STAGE_TABLES + 0x3000 + 8 * 0xf0;
    memcpy(s->ram.bytes + entry - 8, code, sizeof code);
    stage_put(s, STAGE_DATA + 0x10, STAGE_DATA, 4);
    s->cpu.rip = entry - 8;
    s->cpu.gprs[GPR_RSI] = 0xf0000;
    s->cpu.gprs[GPR_RBP] = STAGE_DATA + 0x10 - 4;
    s->cpu.gprs[GPR_RAX] = STAGE_DATA;
    assert_int_equal(stage_run(s, 0).vector, DONE);
    assert_int_equal(s->cpu.gprs[GPR_RAX], STAGE_DATA);
    assert_int_equal(stage_get(s, entry, 1), 0x23);
    stage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instruction_breakpoints),
        cmocka_unit_test(test_data_breakpoints),
        cmocka_unit_test(test_port_breakpoints),
        cmocka_unit_test(test_single_step),
        cmocka_unit_test(test_stepping_a_rep),
        cmocka_unit_test(test_breakpoint_after_mov_ss),
        cmocka_unit_test(test_mov_ss_in_the_state),
        cmocka_unit_test(test_debug_registers),
        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_implicit_accesses),
        cmocka_unit_test(test_accessed_bit_in_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
